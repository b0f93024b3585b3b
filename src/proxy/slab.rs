//! Values in numbered places, found again only by the key they were given.

/// Where a value is, and which of those that were there it is. Packed into the token of an event,
/// it tells those of a closed descriptor from those of its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) place: u32,
    /// Never 0.
    pub(super) turn: u32,
}

/// The highest turn: one bit of a token is for something else.
const LAST_TURN: u32 = u32::MAX >> 1;

#[derive(Debug)]
struct Place<T> {
    turn: u32,
    value: Option<T>,
}

#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Slab<T> {
        Slab { places: Vec::new(), free: Vec::new() }
    }

    /// Reserve a place. It is filled with [`Slab::put`].
    pub(super) fn reserve(&mut self) -> Key {
        if let Some(place) = self.free.pop()
            && let Some(found) = self.places.get(index(place))
        {
            return Key { place, turn: found.turn };
        }
        // More than u32::MAX descriptors do not exist.
        let place = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(Place { turn: 1, value: None });
        Key { place, turn: 1 }
    }

    /// Take a value out for a while; its place stays its own.
    pub(super) fn lift(&mut self, key: Key) -> Option<T> {
        self.place(key)?.value.take()
    }

    /// Put a value into its place.
    pub(super) fn put(&mut self, key: Key, value: T) {
        if let Some(place) = self.place(key) {
            place.value = Some(value);
        }
    }

    /// Give a place up: its key leads nowhere from now on.
    pub(super) fn free(&mut self, key: Key) {
        if let Some(place) = self.place(key) {
            place.value = None;
            place.turn = if place.turn == LAST_TURN { 1 } else { place.turn + 1 };
            self.free.push(key.place);
        }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.place(key)?.value.as_mut()
    }

    /// All values and their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.places.iter().zip(0..).filter_map(|(place, number)| {
            Some((Key { place: number, turn: place.turn }, place.value.as_ref()?))
        })
    }

    fn place(&mut self, key: Key) -> Option<&mut Place<T>> {
        self.places.get_mut(index(key.place)).filter(|place| place.turn == key.turn)
    }
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_to_its_own_value_only() {
        let mut slab = Slab::new();
        let first = slab.reserve();
        slab.put(first, 'a');
        let second = slab.reserve();
        slab.put(second, 'b');
        assert_eq!(slab.lift(first), Some('a'));
        assert_eq!(slab.get_mut(first), None);
        slab.put(first, 'c');
        assert_eq!(slab.iter().map(|(_, v)| *v).collect::<String>(), "cb");
        slab.free(first);
        let third = slab.reserve();
        assert_eq!(third.place, first.place);
        slab.put(third, 'd');
        slab.put(first, 'x');
        slab.free(first);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.get_mut(third), Some(&mut 'd'));
    }
}
