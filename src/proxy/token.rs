//! What the poller is told about each descriptor, and says with each event.

use super::slab::Key;

/// What an event of the poller is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Client(Key),
    Server(Key),
    ListenSocket(usize),
    Waker,
}

const SERVER: u64 = 1 << 63;

impl Token {
    pub(super) fn pack(self) -> u64 {
        let pack = |key: Key| (u64::from(key.generation) << 32) | u64::from(key.slot);
        match self {
            Token::Client(key) => pack(key),
            Token::Server(key) => pack(key) | SERVER,
            // No session has generation 0.
            Token::ListenSocket(number) => u64::try_from(number).unwrap_or_default(),
            Token::Waker => u64::from(u32::MAX),
        }
    }

    pub(super) fn unpack(token: u64) -> Token {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default();
        let key = Key { slot: half(token), generation: half((token & !SERVER) >> 32) };
        match (key.generation, token & SERVER) {
            (0, _) if key.slot == u32::MAX => Token::Waker,
            (0, _) => Token::ListenSocket(usize::try_from(key.slot).unwrap_or(usize::MAX)),
            (_, 0) => Token::Client(key),
            (_, _) => Token::Server(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_back_as_they_went() {
        let last = Key { slot: u32::MAX, generation: u32::MAX >> 1 };
        for token in [
            Token::Client(Key { slot: 0, generation: 1 }),
            Token::Server(Key { slot: 7, generation: 9 }),
            Token::Client(last),
            Token::Server(last),
            Token::ListenSocket(0),
            Token::ListenSocket(300),
            Token::Waker,
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
