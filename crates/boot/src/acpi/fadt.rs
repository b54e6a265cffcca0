// SPDX-License-Identifier: Apache-2.0
//! FADT: the fixed hardware.

use acpi_tables::fadt::{FADT, FADTBuilder, Flags, PmProfile};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID};
use crate::layout::{irq, port};

const PM1_STATUS: u16 = port::ACPI_PM;
const PM1_CONTROL: u16 = port::ACPI_PM + 4;
const PM_TIMER: u16 = port::ACPI_PM + 8;
const GPE0: u16 = port::ACPI_PM + 0x20;
/// Status and enable, 8 bytes each.
const GPE0_LEN: u8 = 16;

/// Written to the SMI command port to switch ACPI on and off.
const ACPI_ENABLE: u8 = 2;
const ACPI_DISABLE: u8 = 3;
/// Written to the reset control register: a hard reset of the processor.
const RESET_VALUE: u8 = 6;
/// Latencies that say: no C2, no C3.
const NO_C2: u16 = 0xfff;
const NO_C3: u16 = 0xfff;
/// Where the real-time clock keeps the century.
const CENTURY: u8 = 0x32;
/// `IAPC_BOOT_ARCH`: legacy devices, 8042 controller, no VGA.
const BOOT_ARCHITECTURE: u16 = 1 | 1 << 1 | 1 << 2;

/// The table. The power button is the fixed one, hence the flag for a button of another kind stays off; there is no
/// sleep button, hence that flag is on.
pub(super) fn fadt(facs: u32, dsdt: u32) -> FADT {
    let mut table = FADTBuilder::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION)
        .preferred_pm_profile(PmProfile::EnterpriseServer)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        .flag(Flags::SlpButton)
        .flag(Flags::FixRtc)
        .flag(Flags::ResetRegSup)
        .gpe_info(u32::from(GPE0), 0, GPE0_LEN, 0, 0);
    table.firmware_ctrl = facs.into();
    table.dsdt = dsdt.into();
    table.x_dsdt = u64::from(dsdt).into();
    table.sci_int = u16::try_from(irq::SCI).unwrap_or(0).into();
    table.smi_cmd = u32::from(port::SMI_COMMAND).into();
    (table.acpi_enable, table.acpi_disable) = (ACPI_ENABLE, ACPI_DISABLE);
    table.pm1a_evt_blk = u32::from(PM1_STATUS).into();
    table.pm1a_cnt_blk = u32::from(PM1_CONTROL).into();
    table.pm_tmr_blk = u32::from(PM_TIMER).into();
    (table.pm1_evt_len, table.pm1_cnt_len, table.pm_tmr_len) = (4, 2, 4);
    (table.p_lvl2_lat, table.p_lvl3_lat) = (NO_C2.into(), NO_C3.into());
    table.century = CENTURY;
    table.iapc_boot_arch = BOOT_ARCHITECTURE.into();
    table.reset_reg = io(port::RESET, 8);
    table.reset_value = RESET_VALUE;
    table.x_pm1a_evt_blk = io(PM1_STATUS, 32);
    table.x_pm1a_cnt_blk = io(PM1_CONTROL, 16);
    table.x_pm_tmr_blk = io(PM_TIMER, 32);
    table.x_gpe0_blk = io(GPE0, GPE0_LEN * 8);
    table.finalize()
}

fn io(port: u16, bits: u8) -> GAS {
    let access = match bits {
        8 => AccessSize::ByteAccess,
        16 => AccessSize::WordAccess,
        32 => AccessSize::DwordAccess,
        _ => AccessSize::Undefined,
    };
    GAS::new(AddressSpace::SystemIo, bits, 0, access, u64::from(port))
}
