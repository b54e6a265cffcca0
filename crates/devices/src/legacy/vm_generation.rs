// SPDX-License-Identifier: Apache-2.0
//! The identity of the virtual machine (Microsoft, "Virtual Machine Generation ID"): 16 random bytes in its memory. They stay
//! what they are over a reset and a pause, and are others after every restore, since a snapshot may be restored more than once:
//! a guest that does not hear of that gives the same random numbers, addresses and keys away twice.
//!
//! The new bytes are in memory, and the guest is told of them, before it runs again: at the first `resume` after the restore,
//! when memory holds what belongs to the snapshot.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use serde::{Deserialize, Serialize};

use crate::virtio::rng::source::EntropySource;

/// Bytes of an identity.
pub const ID_LEN: usize = 16;

const KIND: &str = "vm-generation";
const VERSION: u32 = 1;

/// Where the identity lies, and whence it comes.
pub struct VmGenerationParts {
    /// The memory of the guest.
    pub memory: Arc<GuestMemory>,
    /// Where in it.
    pub address: GuestAddress,
    /// The source of identities.
    pub entropy: Arc<dyn EntropySource>,
    /// Tells the guest that it has another one.
    pub notify: Box<dyn Fn() + Send + Sync>,
}

/// The identity.
pub struct VmGeneration {
    parts: VmGenerationParts,
    current: Mutex<Identity>,
    renewals: Counter,
}

struct Identity {
    id: [u8; ID_LEN],
    /// Whether the guest has to be told.
    new: bool,
}

/// The saved form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VmGenerationState {
    id: [u8; ID_LEN],
}

impl VmGeneration {
    /// A new identity, which is in memory when this returns.
    pub fn new(parts: VmGenerationParts) -> io::Result<Self> {
        let id = draw(parts.entropy.as_ref())?;
        let device =
            Self { parts, current: Mutex::new(Identity { id, new: false }), renewals: Counter::default() };
        device.put(&id);
        Ok(device)
    }

    fn current(&self) -> MutexGuard<'_, Identity> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, id: &[u8; ID_LEN]) {
        // The place is part of every machine's memory.
        if let Err(error) = self.parts.memory.write_slice(id, self.parts.address) {
            tracing::error!(%error, "the identity of the virtual machine could not be written");
        }
    }
}

fn draw(entropy: &dyn EntropySource) -> io::Result<[u8; ID_LEN]> {
    let mut id = [0; ID_LEN];
    entropy.fill(&mut id)?;
    Ok(id)
}

impl Lifecycle for VmGeneration {
    fn name(&self) -> &'static str {
        KIND
    }

    fn resume(&self) {
        let mut current = self.current();
        if std::mem::take(&mut current.new) {
            self.put(&current.id);
            self.renewals.increment();
            (self.parts.notify)();
        }
    }

    /// The guest may have written over it.
    fn reset(&self) {
        let mut current = self.current();
        // The next guest finds it when it starts, and need not be told.
        current.new = false;
        self.put(&current.id);
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, &VmGenerationState { id: self.current().id })
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        state.unpack::<VmGenerationState>(KIND, VERSION)?;
        let id = draw(self.parts.entropy.as_ref()).map_err(|_| StateError::NotNow {
            reason: "the host gives no random bytes for a new identity",
        })?;
        *self.current() = Identity { id, new: true };
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("renewals", self.renewals.get())]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

    use flotilla_testing::memory::guest_memory;

    use super::*;

    const ADDRESS: GuestAddress = GuestAddress(0x1028);

    /// Gives ones, then twos, and so on, until there is no more.
    struct Numbers(AtomicU8);

    impl EntropySource for Numbers {
        fn fill(&self, data: &mut [u8]) -> io::Result<()> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                number @ 0..3 => data.fill(number + 1),
                _ => return Err(io::ErrorKind::WouldBlock.into()),
            }
            Ok(())
        }
    }

    struct Bench {
        device: VmGeneration,
        memory: Arc<GuestMemory>,
        told: Arc<AtomicU32>,
    }

    fn bench() -> Bench {
        let (memory, told) = (guest_memory(1 << 16), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&told);
        let notify = Box::new(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let entropy = Arc::new(Numbers(AtomicU8::new(0)));
        let parts = VmGenerationParts { memory: Arc::clone(&memory), address: ADDRESS, entropy, notify };
        let device = VmGeneration::new(parts).unwrap();
        Bench { device, memory, told }
    }

    impl Bench {
        /// What the guest finds, and how often it was told that this is new.
        fn seen(&self) -> ([u8; ID_LEN], u32) {
            let mut id = [0; ID_LEN];
            self.memory.read_slice(&mut id, ADDRESS).unwrap();
            (id, self.told.load(Ordering::SeqCst))
        }
    }

    #[test]
    fn stays_the_same_until_a_restore() {
        let bench = bench();
        bench.device.resume();
        bench.device.pause();
        bench.device.resume();
        assert_eq!(bench.seen(), ([1; ID_LEN], 0));
        bench.memory.write_slice(&[0xff; ID_LEN], ADDRESS).unwrap();
        bench.device.reset();
        assert_eq!(bench.seen(), ([1; ID_LEN], 0), "a guest cannot take it from the next one");
    }

    #[test]
    fn each_restore_makes_a_new_one_that_the_guest_is_told_of_when_it_goes_on() {
        let bench = bench();
        let saved = bench.device.save().unwrap();
        bench.device.restore(&saved).unwrap();
        assert_eq!(bench.seen(), ([1; ID_LEN], 0), "a restore does not touch memory");
        assert_ne!(bench.device.save().unwrap(), saved);
        bench.device.resume();
        assert_eq!(bench.seen(), ([2; ID_LEN], 1));
        bench.device.pause();
        bench.device.resume();
        assert_eq!(bench.seen(), ([2; ID_LEN], 1), "once");
        bench.device.restore(&saved).unwrap();
        bench.device.reset();
        bench.device.resume();
        assert_eq!(bench.seen(), ([3; ID_LEN], 1), "a guest that starts is not told");
        assert_eq!(bench.device.metrics(), [("renewals", 1)]);
        crate::declared::assert_declared("vm-generation", &bench.device.metrics());
    }

    #[test]
    fn without_random_bytes_nothing_is_restored() {
        let bench = bench();
        let mut saved = bench.device.save().unwrap();
        bench.device.restore(&saved).unwrap();
        bench.device.restore(&saved).unwrap();
        let last = bench.device.save().unwrap();
        assert!(matches!(bench.device.restore(&saved), Err(StateError::NotNow { .. })));
        saved.fields["id"] = serde_json::json!([1, 2, 3]);
        assert!(matches!(bench.device.restore(&saved), Err(StateError::Shape { .. })));
        assert_eq!(bench.device.save().unwrap(), last);
    }
}
