//! Values in numbered slots. A key has the number of a slot and of the value that was in it then: it
//! never leads to a later one.

/// Packed into the token of an event, it tells the events of a closed descriptor from those of the
/// one that has its slot now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) slot: u32,
    /// Never 0.
    pub(super) generation: u32,
}

/// The highest generation: one bit of a token is for something else.
const LAST_GENERATION: u32 = u32::MAX >> 1;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

#[derive(Debug)]
pub(super) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Slab<T> {
        Slab { slots: Vec::new(), free: Vec::new() }
    }

    /// Reserve a slot, which [`Slab::restore`] fills.
    pub(super) fn reserve(&mut self) -> Key {
        if let Some(slot) = self.free.pop()
            && let Some(found) = self.slots.get(index(slot))
        {
            return Key { slot, generation: found.generation };
        }
        // More than u32::MAX descriptors do not exist.
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot { generation: 1, value: None });
        Key { slot, generation: 1 }
    }

    /// Take a value out for a while; its slot stays reserved.
    pub(super) fn take(&mut self, key: Key) -> Option<T> {
        self.find(key)?.value.take()
    }

    /// Put a value into its slot, for the first time or again.
    pub(super) fn restore(&mut self, key: Key, value: T) {
        if let Some(slot) = self.find(key) {
            slot.value = Some(value);
        }
    }

    /// Free a slot: its key leads nowhere from now on.
    pub(super) fn free(&mut self, key: Key) {
        if let Some(slot) = self.find(key) {
            slot.value = None;
            slot.generation =
                if slot.generation == LAST_GENERATION { 1 } else { slot.generation + 1 };
            self.free.push(key.slot);
        }
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.find(key)?.value.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().zip(0..).filter_map(|(slot, number)| {
            Some((Key { slot: number, generation: slot.generation }, slot.value.as_ref()?))
        })
    }

    fn find(&mut self, key: Key) -> Option<&mut Slot<T>> {
        self.slots.get_mut(index(key.slot)).filter(|slot| slot.generation == key.generation)
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_to_its_own_value_only() {
        let mut slab = Slab::new();
        let first = slab.reserve();
        slab.restore(first, 'a');
        let second = slab.reserve();
        slab.restore(second, 'b');
        assert_eq!(slab.take(first), Some('a'));
        assert_eq!(slab.get_mut(first), None);
        slab.restore(first, 'c');
        assert_eq!(slab.iter().map(|(_, v)| *v).collect::<String>(), "cb");
        slab.free(first);
        let third = slab.reserve();
        assert_eq!(third.slot, first.slot);
        slab.restore(third, 'd');
        slab.restore(first, 'x');
        slab.free(first);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.get_mut(third), Some(&mut 'd'));
    }
}
