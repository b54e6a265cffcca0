// SPDX-License-Identifier: Apache-2.0
//! The texts of the generated files: TypeScript types, error codes, metrics and the JSON schema.

use ts_rs::{Config, TS};

use crate::code::ErrorCode;
use crate::metrics;
use crate::report::{
    BalloonReport, BalloonStatistics, CpuReport, ExitReason, MachineEvent, MachineExit, MachineInfo,
    MachineState, ReclaimReport,
};
use crate::{
    BackingSpec, BalloonSpec, BootProtocol, BootSpec, CrashPolicy, DiskAttachment, DiskCache, DiskEngine,
    DiskFormat, DiskSpec, FileSource, InterfaceBackend, InterfaceSpec, LinkState,
};
use crate::{
    ConsolePortSpec, ConsoleSpec, CpuModel, CpuSpec, MemoryBacking, MemoryOptions, NumaNodeSpec, PinSpec,
};
use crate::{ForwardProtocol, ForwardSpec, UserNetworkSpec};
use crate::{LimitsSpec, RateSpec, ThrottleGroupSpec, ThrottleSpec, ThrottleTarget};
use crate::{
    MacAddress, MachineSpec, MemorySize, Profile, RebootPolicy, SerialSpec, ShareSpec, SpacePolicy,
    TapSource, Violation, VsockSpec, id,
};
use crate::{TopologySpec, TransparentHugepages, WatchdogAction, WatchdogSpec};

const HEADER: &str = "// SPDX-License-Identifier: Apache-2.0\n// Generated from crates/spec by `npm run gen`. Do not edit.\n\n";

/// A generated file.
pub struct Generated {
    /// Path from the top of the repository.
    pub path: &'static str,
    /// Its whole content.
    pub content: String,
}

/// Every generated file.
pub fn files() -> Vec<Generated> {
    let folder = |path, content| Generated { path, content };
    vec![
        folder("packages/native/src/generated/spec.ts", spec_types()),
        folder("packages/native/src/generated/report.ts", report_types()),
        folder("packages/native/src/generated/error-codes.ts", error_codes()),
        folder("packages/native/src/generated/metrics.ts", metrics::typescript(HEADER)),
        folder("packages/orchestrator/src/host-agent/metrics.gen.ts", metrics::typescript(HEADER)),
        folder("docs/metrics-list.md", metrics::table()),
        folder("crates/spec/schema/machine-spec.schema.json", schema()),
    ]
}

fn spec_types() -> String {
    let import = "import type { ErrorCode } from './error-codes.js';\n\n";
    let types = [
        declare::<MachineSpec>(),
        declare::<Profile>(),
        declare::<MemorySize>(),
        declare::<CpuSpec>(),
        declare::<TopologySpec>(),
        declare::<CpuModel>(),
        declare::<PinSpec>(),
        declare::<MemoryOptions>(),
        declare::<MemoryBacking>(),
        declare::<TransparentHugepages>(),
        declare::<BalloonSpec>(),
        declare::<NumaNodeSpec>(),
        declare::<BootSpec>(),
        declare::<BootProtocol>(),
        declare::<DiskSpec>(),
        declare::<id::DiskId>(),
        declare::<DiskAttachment>(),
        declare::<DiskFormat>(),
        declare::<DiskCache>(),
        declare::<DiskEngine>(),
        declare::<SpacePolicy>(),
        declare::<BackingSpec>(),
        declare::<InterfaceSpec>(),
        declare::<InterfaceBackend>(),
        declare::<UserNetworkSpec>(),
        declare::<ForwardSpec>(),
        declare::<ForwardProtocol>(),
        declare::<LinkState>(),
        declare::<id::InterfaceId>(),
        declare::<MacAddress>(),
        declare::<ShareSpec>(),
        declare::<id::ShareTag>(),
        declare::<FileSource>(),
        declare::<TapSource>(),
        declare::<SerialSpec>(),
        declare::<ConsoleSpec>(),
        declare::<ConsolePortSpec>(),
        declare::<VsockSpec>(),
        declare::<ThrottleSpec>(),
        declare::<ThrottleGroupSpec>(),
        declare::<LimitsSpec>(),
        declare::<RateSpec>(),
        declare::<ThrottleTarget>(),
        declare::<WatchdogSpec>(),
        declare::<WatchdogAction>(),
        declare::<RebootPolicy>(),
        declare::<CrashPolicy>(),
        declare::<id::MachineId>(),
        declare::<Violation>(),
    ];
    format!("{HEADER}{import}{}", types.join("\n"))
}

fn report_types() -> String {
    let import = "import type { ErrorCode } from './error-codes.js';\nimport type { WatchdogAction } from './spec.js';\n\n";
    let types = [
        declare::<MachineState>(),
        declare::<ExitReason>(),
        declare::<CpuReport>(),
        declare::<MachineExit>(),
        declare::<MachineEvent>(),
        declare::<MachineInfo>(),
        declare::<BalloonReport>(),
        declare::<BalloonStatistics>(),
        declare::<ReclaimReport>(),
    ];
    format!("{HEADER}{import}{}", types.join("\n"))
}

fn declare<T: TS>() -> String {
    let config = Config::new().with_large_int("number");
    let text = format!("{}export {}\n", T::docs().unwrap_or_default(), T::decl(&config));
    text.replace(" \n", "\n")
}

fn error_codes() -> String {
    let mut text =
        format!("{HEADER}/** Every error code of the core, with its meaning and the general remedy. */\n");
    text.push_str("export const ERROR_CODES = {\n");
    for code in ErrorCode::ALL {
        let [name, meaning, remedy] = [code.text(), code.meaning(), code.remedy()].map(quote);
        text.push_str(&["  ", &name, ": { meaning: ", &meaning, ", remedy: ", &remedy, " },\n"].concat());
    }
    text.push_str("} as const;\n\n/** A stable error code, written as `area.cause`. */\n");
    text.push_str("export type ErrorCode = keyof typeof ERROR_CODES;\n\n/** Whether a text is an error code of the core. */\n");
    text.push_str("export function isErrorCode(text: unknown): text is ErrorCode {\n");
    text.push_str("  return typeof text === 'string' && Object.hasOwn(ERROR_CODES, text);\n}\n");
    text
}

pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn schema() -> String {
    let schema = schemars::schema_for!(MachineSpec);
    // Serialising a value made of text, numbers and lists cannot fail.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
