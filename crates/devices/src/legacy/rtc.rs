// SPDX-License-Identifier: Apache-2.0
//! The MC146818 real-time clock with 128 bytes of NVRAM. Ports 0x70 (index) and 0x71 (data).
//!
//! Time is that of the host (UTC) plus what the guest set it off by. It goes on while the machine is paused or saved, as
//! a clock on a battery does: a guest that comes back finds the time of day here. An update is never in
//! progress. For the alarm and the other interrupts see [`interrupts`].

mod alarm;
mod interrupts;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::interrupt::InterruptLine;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::threads::DeviceThreads;
use serde::{Deserialize, Serialize};

use self::alarm::Alarm;
use self::interrupts::{Interrupts, Seen, Setting};
use super::clock::Clock;

/// Ports of the device.
pub const RTC_LEN: u64 = 2;
const NVRAM_LEN: usize = 128;

const SECONDS: u8 = 0x00;
const SECONDS_ALARM: u8 = 0x01;
const MINUTES: u8 = 0x02;
const MINUTES_ALARM: u8 = 0x03;
const HOURS: u8 = 0x04;
const HOURS_ALARM: u8 = 0x05;
const WEEKDAY: u8 = 0x06;
const DAY: u8 = 0x07;
const MONTH: u8 = 0x08;
const YEAR: u8 = 0x09;
const REGISTER_A: u8 = 0x0a;
const REGISTER_B: u8 = 0x0b;
const REGISTER_C: u8 = 0x0c;
const REGISTER_D: u8 = 0x0d;
const CENTURY: u8 = 0x32;

/// Register A: 32768 Hz time base, 1024 Hz rate.
const A_DEFAULT: u8 = 0x26;
/// Register A: update in progress, never set.
const A_UIP: u8 = 1 << 7;
/// Register B: the guest is setting the time.
const B_SET: u8 = 1 << 7;
/// Register B: an interrupt each second.
const B_UPDATE: u8 = 1 << 4;
/// Register B: binary instead of BCD.
const B_BINARY: u8 = 1 << 2;
/// Register B: 24 hours.
const B_24_HOURS: u8 = 1 << 1;
/// Register D: the battery is good.
const D_VALID: u8 = 1 << 7;
/// Hours: afternoon, in the 12 hour form.
const HOURS_PM: u8 = 1 << 7;

const KIND: &str = "rtc";
const VERSION: u32 = 1;
/// Ten thousand years in seconds: more than any guest can set the clock off by.
const MAX_SHIFT: i64 = 10_000 * 366 * 86_400;

/// A point in time as calendar fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Calendar {
    year: u16,
    /// 1 to 12.
    month: u8,
    /// 1 to 31.
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl Calendar {
    fn from_unix(seconds: i64) -> Self {
        let days = seconds.div_euclid(86_400);
        let rest = seconds.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        Self {
            year: u16::try_from(year).unwrap_or(0),
            month: low_byte(month),
            day: low_byte(day),
            hour: low_byte(rest / 3600),
            minute: low_byte(rest / 60 % 60),
            second: low_byte(rest % 60),
        }
    }

    /// Fields out of range carry over, as `mktime` does.
    fn to_unix(self) -> i64 {
        let days = days_from_civil(self.year.into(), self.month.into(), self.day.into());
        let hours = days * 24 + i64::from(self.hour);
        (hours * 60 + i64::from(self.minute)) * 60 + i64::from(self.second)
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar. Years begin in March here, so that the leap
/// day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let month = month.clamp(1, 12);
    let year = if month <= 2 { year - 1 } else { year };
    let in_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + in_year - 719_468
}

/// (year, month, day) of a number of days since 1970-01-01.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let in_era = days.rem_euclid(146_097);
    let year = (in_era - in_era / 1460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * in_year + 2) / 153;
    let day = in_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

fn low_byte(value: i64) -> u8 {
    u8::try_from(value & 0xff).unwrap_or_default()
}

/// Sizes that firmware reads from NVRAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NvramSizes {
    /// RAM below 4 GiB in bytes.
    pub below_4g: u64,
    /// RAM from 4 GiB on in bytes.
    pub above_4g: u64,
    /// Number of CPUs, at least 1.
    pub cpus: u8,
}

fn initial_nvram(sizes: NvramSizes) -> [u8; NVRAM_LEN] {
    let capped = |value: u64, max: u64| value.min(max).to_le_bytes();
    let kib = sizes.below_4g / 1024;
    let base = capped(kib, 640);
    let extended = capped(kib.saturating_sub(1024), 0xffff);
    let above_16m = capped(kib.saturating_sub(16 * 1024) / 64, 0xffff);
    let above_4g = capped(sizes.above_4g / 65_536, 0xff_ffff);
    let mut nvram = [0; NVRAM_LEN];
    let fields = [
        (REGISTER_A, A_DEFAULT),
        (REGISTER_B, B_24_HOURS),
        (REGISTER_D, D_VALID),
        (0x15, base[0]),
        (0x16, base[1]),
        (0x17, extended[0]),
        (0x18, extended[1]),
        (0x30, extended[0]),
        (0x31, extended[1]),
        (0x34, above_16m[0]),
        (0x35, above_16m[1]),
        (0x5b, above_4g[0]),
        (0x5c, above_4g[1]),
        (0x5d, above_4g[2]),
        (0x5f, sizes.cpus.saturating_sub(1)),
    ];
    for (index, value) in fields {
        if let Some(byte) = nvram.get_mut(usize::from(index)) {
            *byte = value;
        }
    }
    nvram
}

struct Registers {
    index: u8,
    nvram: [u8; NVRAM_LEN],
    /// Seconds the guest's time is ahead of the host's.
    shift: i64,
    /// The time being set while `B_SET`.
    latched: Option<Calendar>,
}

/// The saved form. Time goes on from the host's clock after a restore.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RtcState {
    index: u8,
    nvram: Vec<u8>,
    shift: i64,
    latched: Option<Calendar>,
    /// None in states from before there were interrupts.
    #[serde(default)]
    seen: Option<Seen>,
}

/// The clock.
pub struct Rtc {
    interrupts: Interrupts,
    registers: Mutex<Registers>,
    initial: [u8; NVRAM_LEN],
    clock: Arc<dyn Clock>,
    settings: Counter,
}

impl Rtc {
    /// A clock that shows the time of `clock` and interrupts on `line`, with `sizes` in its NVRAM.
    pub fn new(clock: Arc<dyn Clock>, line: Arc<dyn InterruptLine>, sizes: NvramSizes) -> Self {
        let interrupts = Interrupts::new(KIND, Arc::clone(&clock), line);
        let initial = initial_nvram(sizes);
        let registers = Registers { index: 0, nvram: initial, shift: 0, latched: None };
        Self { interrupts, registers: Mutex::new(registers), initial, clock, settings: Counter::default() }
    }

    /// This device, with the thread of its interrupts watched by `threads`.
    #[must_use]
    pub fn watched_by(mut self, threads: Arc<dyn DeviceThreads>) -> Self {
        self.interrupts.watch(threads);
        self
    }

    fn registers(&self) -> MutexGuard<'_, Registers> {
        self.registers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host_seconds(&self) -> i64 {
        i64::try_from(self.clock.unix_seconds()).unwrap_or(i64::MAX / 2)
    }

    fn now(&self, registers: &Registers) -> Calendar {
        let running = || Calendar::from_unix(self.host_seconds().saturating_add(registers.shift));
        registers.latched.unwrap_or_else(running)
    }

    fn read_register(&self, registers: &mut Registers) -> u8 {
        let mode = registers.byte(REGISTER_B);
        let now = self.now(registers);
        let century = low_byte(i64::from(now.year / 100));
        match registers.index {
            SECONDS => encode(now.second, mode),
            MINUTES => encode(now.minute, mode),
            HOURS => encode_hour(now.hour, mode),
            WEEKDAY => weekday(now),
            DAY => encode(now.day, mode),
            MONTH => encode(now.month, mode),
            YEAR => encode(low_byte(i64::from(now.year % 100)), mode),
            CENTURY => encode(century, mode),
            REGISTER_C => self.interrupts.take(),
            index => registers.byte(index),
        }
    }

    fn write_register(&self, registers: &mut Registers, value: u8) {
        match registers.index {
            SECONDS | MINUTES | HOURS | DAY | MONTH | YEAR | CENTURY => self.set_time(registers, value),
            WEEKDAY | REGISTER_C | REGISTER_D => {}
            REGISTER_A => registers.set_byte(value & !A_UIP),
            REGISTER_B => {
                registers.set_byte(if value & B_SET == 0 { value } else { value & !B_UPDATE });
                let now = self.now(registers);
                if value & B_SET != 0 {
                    registers.latched = Some(now);
                } else if registers.latched.take().is_some() {
                    self.start_from(registers, now);
                }
            }
            _ => registers.set_byte(value),
        }
        if registers.index <= REGISTER_B || registers.index == CENTURY {
            self.interrupts.set(registers.setting());
        }
    }

    fn set_time(&self, registers: &mut Registers, value: u8) {
        let mode = registers.byte(REGISTER_B);
        let mut now = self.now(registers);
        let plain = decode(value, mode);
        let years = u16::from(plain.min(99));
        match registers.index {
            SECONDS => now.second = plain.min(59),
            MINUTES => now.minute = plain.min(59),
            HOURS => now.hour = decode_hour(value, mode).min(23),
            DAY => now.day = plain.clamp(1, 31),
            MONTH => now.month = plain.clamp(1, 12),
            YEAR => now.year = now.year / 100 * 100 + years,
            _ => now.year = now.year % 100 + years * 100,
        }
        if registers.latched.is_some() {
            registers.latched = Some(now);
        } else {
            self.start_from(registers, now);
        }
    }

    fn start_from(&self, registers: &mut Registers, now: Calendar) {
        self.settings.increment();
        registers.shift = now.to_unix().saturating_sub(self.host_seconds()).clamp(-MAX_SHIFT, MAX_SHIFT);
    }
}

impl Registers {
    fn byte(&self, index: u8) -> u8 {
        self.nvram.get(usize::from(index)).copied().unwrap_or(0xff)
    }

    /// What the interrupts depend on.
    fn setting(&self) -> Setting {
        let alarm = Alarm {
            hour: self.byte(HOURS_ALARM),
            minute: self.byte(MINUTES_ALARM),
            second: self.byte(SECONDS_ALARM),
            mode: self.byte(REGISTER_B),
        };
        Setting { rate: self.byte(REGISTER_A), alarm, shift: self.shift, stopped: self.latched.is_some() }
    }

    fn set_byte(&mut self, value: u8) {
        if let Some(byte) = self.nvram.get_mut(usize::from(self.index)) {
            *byte = value;
        }
    }
}

fn encode(value: u8, mode: u8) -> u8 {
    if mode & B_BINARY != 0 { value } else { ((value / 10 % 10) << 4) | (value % 10) }
}

fn decode(value: u8, mode: u8) -> u8 {
    if mode & B_BINARY != 0 { value } else { (value >> 4).min(9) * 10 + (value & 0x0f).min(9) }
}

fn encode_hour(hour: u8, mode: u8) -> u8 {
    if mode & B_24_HOURS != 0 {
        return encode(hour, mode);
    }
    let half = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
    encode(half, mode) | if hour >= 12 { HOURS_PM } else { 0 }
}

fn decode_hour(value: u8, mode: u8) -> u8 {
    if mode & B_24_HOURS != 0 {
        return decode(value, mode);
    }
    let half = decode(value & !HOURS_PM, mode) % 12;
    half + if value & HOURS_PM != 0 { 12 } else { 0 }
}

/// 1 for Sunday to 7.
fn weekday(now: Calendar) -> u8 {
    let days = now.to_unix().div_euclid(86_400);
    low_byte((days + 4).rem_euclid(7) + 1)
}

impl BusDevice for Rtc {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        if let (1, [byte]) = (offset, data) {
            *byte = self.read_register(&mut self.registers());
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let [value] = *data else { return };
        let mut registers = self.registers();
        match offset {
            // Bit 7 masks the NMI, which there is none of.
            0 => registers.index = value & 0x7f,
            1 => self.write_register(&mut registers, value),
            _ => {}
        }
    }
}

impl Lifecycle for Rtc {
    fn name(&self) -> &'static str {
        KIND
    }

    fn pause(&self) {
        self.interrupts.pause();
    }

    fn resume(&self) {
        self.interrupts.resume();
    }

    /// The battery keeps time and NVRAM; a reset ends only a setting of the time that was under way, and interrupts.
    fn reset(&self) {
        let mut registers = self.registers();
        registers.index = REGISTER_B;
        registers.set_byte(B_24_HOURS);
        registers.latched = None;
        registers.index = 0;
        self.interrupts.reset(registers.setting());
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        let registers = self.registers();
        let state = RtcState {
            index: registers.index,
            nvram: registers.nvram.to_vec(),
            shift: registers.shift,
            latched: registers.latched,
            seen: Some(self.interrupts.save()),
        };
        DeviceState::pack(KIND, VERSION, &state)
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let saved: RtcState = state.unpack(KIND, VERSION)?;
        let impossible = |field| StateError::Impossible { kind: KIND, field };
        let nvram: [u8; NVRAM_LEN] = saved.nvram.try_into().map_err(|_| impossible("nvram"))?;
        if usize::from(saved.index) >= NVRAM_LEN {
            return Err(impossible("index"));
        }
        if saved.shift.unsigned_abs() > MAX_SHIFT.unsigned_abs() {
            return Err(impossible("shift"));
        }
        if [REGISTER_C, REGISTER_D].iter().any(|at| {
            let at = usize::from(*at);
            nvram.get(at) != self.initial.get(at)
        }) {
            return Err(impossible("nvram"));
        }
        let seen = saved.seen.unwrap_or_else(|| self.interrupts.save());
        if !seen.is_possible() {
            return Err(impossible("seen"));
        }
        let restored = Registers { index: saved.index, nvram, shift: saved.shift, latched: saved.latched };
        let mut registers = self.registers();
        *registers = restored;
        self.interrupts.restore(seen, registers.setting());
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("time_settings", self.settings.get()), ("interrupts", self.interrupts.raised())]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use flotilla_testing::interrupts::FakeLine;
    use proptest::prelude::*;

    use super::*;
    use crate::legacy::clock::fake::FakeClock;

    const SIZES: NvramSizes = NvramSizes { below_4g: 2 << 30, above_4g: 3 << 30, cpus: 4 };

    fn bench(seconds: u64) -> (Rtc, Arc<FakeClock>) {
        let clock = Arc::new(FakeClock::default());
        clock.seconds.store(seconds, Ordering::SeqCst);
        (Rtc::new(clock.clone(), Arc::new(FakeLine::default()), SIZES), clock)
    }

    fn read(rtc: &Rtc, index: u8) -> u8 {
        rtc.write(0, &[index]);
        let mut data = [0];
        rtc.read(1, &mut data);
        data[0]
    }

    fn write(rtc: &Rtc, index: u8, value: u8) {
        rtc.write(0, &[index]);
        rtc.write(1, &[value]);
    }

    fn fields(rtc: &Rtc) -> [u8; 8] {
        [CENTURY, YEAR, MONTH, DAY, HOURS, MINUTES, SECONDS, WEEKDAY].map(|index| read(rtc, index))
    }

    #[test]
    fn shows_the_time_of_the_host_in_each_form() {
        // Thursday, 2024-02-29 13:04:05 UTC.
        let (rtc, _) = bench(1_709_211_845);
        assert_eq!(fields(&rtc), [0x20, 0x24, 0x02, 0x29, 0x13, 0x04, 0x05, 5]);
        write(&rtc, REGISTER_B, B_24_HOURS | B_BINARY);
        assert_eq!(fields(&rtc), [20, 24, 2, 29, 13, 4, 5, 5]);
        write(&rtc, REGISTER_B, 0);
        assert_eq!(read(&rtc, HOURS), 0x81);
        assert_eq!((read(&rtc, REGISTER_A), read(&rtc, REGISTER_C), read(&rtc, REGISTER_D)), (0x26, 0, 0x80));
    }

    #[test]
    fn goes_on_from_the_time_the_guest_set() {
        let (rtc, clock) = bench(1_000);
        write(&rtc, REGISTER_B, B_SET | B_24_HOURS);
        for (index, value) in [
            (CENTURY, 0x20),
            (YEAR, 0x31),
            (MONTH, 0x12),
            (DAY, 0x31),
            (HOURS, 0x23),
            (MINUTES, 0x59),
            (SECONDS, 0x58),
        ] {
            write(&rtc, index, value);
        }
        clock.seconds.fetch_add(100, Ordering::SeqCst);
        assert_eq!(read(&rtc, SECONDS), 0x58);
        write(&rtc, REGISTER_B, B_24_HOURS);
        clock.seconds.fetch_add(3, Ordering::SeqCst);
        assert_eq!(fields(&rtc)[..7], [0x20, 0x32, 0x01, 0x01, 0x00, 0x00, 0x01]);
        assert_eq!(rtc.metrics(), [("time_settings", 1), ("interrupts", 0)]);
        crate::declared::assert_declared("rtc", &rtc.metrics());
    }

    #[test]
    fn tells_firmware_the_sizes() {
        let (rtc, _) = bench(0);
        let word = |low| u32::from(read(&rtc, low)) | u32::from(read(&rtc, low + 1)) << 8;
        assert_eq!((word(0x15), word(0x17)), (640, 0xffff));
        assert_eq!(word(0x34) * 64 * 1024 + (16 << 20), 2 << 30);
        assert_eq!(word(0x5b) * 65_536, 3 << 30);
        assert_eq!(read(&rtc, 0x5f), 3);
    }

    #[test]
    fn restores_what_it_saved_and_refuses_nonsense() {
        let (rtc, _) = bench(1_000);
        write(&rtc, 0x40, 0x77);
        write(&rtc, YEAR, 0x50);
        let mut state = rtc.save().unwrap();
        let (other, _) = bench(1_000);
        other.restore(&state).unwrap();
        assert_eq!(other.save().unwrap(), state);
        assert_eq!((read(&other, 0x40), read(&other, YEAR)), (0x77, 0x50));
        for (field, value) in [
            ("nvram", vec![0; 127].into()),
            ("nvram", vec![9; 128].into()),
            ("index", 128.into()),
            ("shift", i64::MIN.into()),
        ] {
            let good = std::mem::replace(&mut state.fields[field], value);
            assert!(other.restore(&state).is_err(), "{field}");
            state.fields[field] = good;
        }
        state.fields["latched"] = serde_json::json!(
            { "year": 65535, "month": 0, "day": 255, "hour": 255, "minute": 255, "second": 255 });
        other.restore(&state).unwrap();
        fields(&other);
        write(&other, REGISTER_B, 0);
        other.reset();
        assert_eq!((read(&other, 0x40), read(&other, REGISTER_B)), (0x77, B_24_HOURS));
    }

    #[test]
    fn interrupts_as_the_registers_say() {
        let clock = Arc::new(FakeClock::default());
        let line = Arc::new(FakeLine::default());
        let rtc = Rtc::new(clock.clone(), line.clone(), SIZES);
        rtc.resume();
        for (index, value) in [(SECONDS_ALARM, 0x09), (MINUTES_ALARM, 0xff), (HOURS_ALARM, 0xff)] {
            write(&rtc, index, value);
        }
        write(&rtc, REGISTER_B, B_24_HOURS | 1 << 5);
        clock.seconds.store(9, Ordering::SeqCst);
        write(&rtc, REGISTER_B, B_24_HOURS | 1 << 5);
        assert!(line.is_high());
        let saved = rtc.save().unwrap();
        assert_eq!((read(&rtc, REGISTER_C), line.is_high(), read(&rtc, REGISTER_C)), (0xb0, false, 0));
        write(&rtc, REGISTER_B, B_SET | B_UPDATE | B_24_HOURS);
        assert_eq!(read(&rtc, REGISTER_B), B_SET | B_24_HOURS, "no update while the time is set");
        rtc.restore(&saved).unwrap();
        rtc.resume();
        assert!(line.is_high());
        rtc.reset();
        assert_eq!((read(&rtc, REGISTER_C), line.is_high()), (0, false));
        for (field, value) in
            [("seen", serde_json::json!({ "flags": 0x80, "second": 0 })), ("seen", 7.into())]
        {
            let mut bad = saved.clone();
            bad.fields[field] = value;
            assert!(rtc.restore(&bad).is_err(), "{field}");
        }
        let mut old = saved;
        old.fields.as_object_mut().unwrap().remove("seen");
        rtc.restore(&old).unwrap();
    }

    #[test]
    fn goes_on_while_the_machine_is_paused_or_saved() {
        let (rtc, clock) = bench(0);
        let minute = |rtc: &Rtc| read(rtc, MINUTES);
        rtc.pause();
        clock.seconds.fetch_add(5 * 60, Ordering::SeqCst);
        rtc.resume();
        assert_eq!(minute(&rtc), 0x05);
        let (other, _) = bench(7 * 60);
        other.restore(&rtc.save().unwrap()).unwrap();
        other.resume();
        assert_eq!(minute(&other), 0x07);
    }

    proptest! {
        #[test]
        fn calendar_is_the_inverse_of_itself(seconds in -60_000_000_000_i64..250_000_000_000) {
            prop_assert_eq!(Calendar::from_unix(seconds).to_unix(), seconds);
        }

        #[test]
        fn survives_any_program(steps in prop::collection::vec((any::<bool>(), 0..3_u64, prop::collection::vec(any::<u8>(), 0..3)), 0..200), seconds in any::<u64>()) {
            let (rtc, _) = bench(seconds);
            for (write, offset, mut data) in steps {
                if write { rtc.write(offset, &data) } else { rtc.read(offset, &mut data) }
            }
            let state = rtc.save().unwrap();
            rtc.restore(&state).unwrap();
        }
    }
}
