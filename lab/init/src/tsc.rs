// SPDX-License-Identifier: Apache-2.0
//! The frequency of this processor's time-stamp counter, measured on the host before the lab starts.
//!
//! The lab's kernel would measure it against emulated timers. When other work takes the emulator off its processor in the
//! middle of that, the result is wrong by factors, and so is every clock in the lab from then on.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for an error below one part in a thousand, which is what the kernel's own refinement allows for.
const SPAN: Duration = Duration::from_millis(50);
/// The tightest of so many looks counts: between its two clocks nobody else ran.
const LOOKS: usize = 16;

/// Kilohertz; `None` where the counter does not run at one speed.
pub fn kilohertz() -> Option<u64> {
    let clock = quanta::Clock::new();
    let first = look(&clock)?;
    sleep(SPAN);
    let second = look(&clock)?;
    let nanoseconds = second.at.duration_since(first.at).as_nanos();
    let cycles = u128::from(second.cycles.checked_sub(first.cycles)?);
    let kilohertz = u64::try_from(cycles * 1_000_000 / nanoseconds.max(1)).ok()?;
    // Without a steady counter the clock counts nanoseconds: exactly 1 GHz.
    (kilohertz.abs_diff(1_000_000) > 1_000).then_some(kilohertz)
}

struct Look {
    cycles: u64,
    at: Instant,
    width: Duration,
}

fn look(clock: &quanta::Clock) -> Option<Look> {
    let looks = (0..LOOKS).map(|_| {
        let before = Instant::now();
        let cycles = clock.raw();
        Look { cycles, at: before, width: before.elapsed() }
    });
    looks.min_by_key(|look| look.width)
}

#[cfg(test)]
mod tests {
    use super::kilohertz;

    #[test]
    fn two_measurements_agree() {
        let (Some(first), Some(second)) = (kilohertz(), kilohertz()) else { return };
        assert!(first.abs_diff(second) < first / 500, "{first} and {second} kHz");
    }
}
