// SPDX-License-Identifier: Apache-2.0
//! The command line. Flags with options of their own have a file each.

mod balloon;
mod console;
mod cpu;
mod disk;
mod forward;
mod interface;
mod memory;
mod policy;
mod share;
mod throttle;
mod vsock;
mod watchdog;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use flotilla_spec::{
    BalloonSpec, FileSource, MemorySize, NumaNodeSpec, SerialSpec, ShareSpec, ThrottleGroupSpec,
    ThrottleSpec, VsockSpec, WatchdogSpec,
};

use crate::exit;

use balloon::balloon;
use console::port;
pub use console::{Port, Terminal};
use cpu::Cpu;
use disk::{Disk, disk};
use interface::{Interface, interface};
use memory::{Memory, numa};
use policy::{Kind, OnCrash, OnReboot, Protocol};
use share::share;
use vsock::vsock;
use watchdog::watchdog;

/// Runs one virtual machine on Linux KVM.
#[derive(Debug, Parser)]
#[command(name = "flotilla-vmm", version, after_help = exit::HELP)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Boot a machine on this terminal.
    ///
    /// The serial port of the guest, or its virtio console, is the terminal, in raw mode: ^C goes to the guest. ^] x ends the machine at
    /// once, ^] p presses its power button, ^] ^] sends one ^]. SIGINT and SIGTERM press the power button; the
    /// machine is ended at the second one, or 30 seconds later.
    #[command(after_help = exit::HELP)]
    Run(Box<RunOptions>),
    /// Run a machine for a client: descriptor 0 is the listening control socket, 2 the log.
    ///
    /// Nothing is opened by path: the client passes every file as a descriptor. The worker goes on when its client
    /// goes away, and ends when the machine has stopped.
    #[command(after_help = exit::HELP)]
    Serve,
}

/// The machine to boot: a file, or flags.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Machine specification as JSON; takes the place of all flags
    #[arg(value_name = "MACHINE.JSON", conflicts_with_all = ["kernel", "initrd", "cmdline", "cpus", "memory", "disk", "net",
        "vsock", "share", "serial", "console", "port", "protocol", "profile", "acpi", "no_rng", "rng_throttle", "throttle", "on_reboot", "on_panic", "on_triple_fault",
        "cpu_topology", "cpu_model", "nested", "pin_vcpus", "pin_io", "memory_backing", "thp", "prefault", "lock_memory",
        "mergeable", "memory_overcommit", "numa", "balloon", "watchdog"])]
    pub machine: Option<PathBuf>,
    /// The kind of machine
    #[arg(long, value_enum, default_value_t = Kind::Standard)]
    pub profile: Kind,
    /// Give a machine of the profile micro ACPI tables and a power button
    #[arg(long)]
    pub acpi: bool,
    /// Kernel: an ELF vmlinux or a bzImage
    #[arg(long, value_name = "FILE", required_unless_present = "machine")]
    pub kernel: Option<PathBuf>,
    /// Initial RAM disk
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// Kernel command line, at most 4095 bytes. Default: console=ttyS0, with --console stdio console=hvc0
    #[arg(long, value_name = "TEXT")]
    pub cmdline: Option<String>,
    /// Number of virtual CPUs, 1 to 64
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub cpus: u32,
    /// What they are like, and where they run
    #[command(flatten)]
    pub cpu: Cpu,
    /// Guest memory in bytes, or with suffix K, M or G (of 1024); at least 16M
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = memory_size)]
    pub memory: MemorySize,
    /// What stands behind it
    #[command(flatten)]
    pub backing: Memory,
    /// Memory that the guest is asked to give up: how much of it, whether it may take it back by itself when it has none left,
    /// whether it gives up unasked what it does not use, and seconds between statistics
    #[arg(long, value_name = "target=SIZE[,oom=on|off][,reporting=on|off][,hinting=on|off][,statistics=N]", value_parser = balloon)]
    pub balloon: Option<BalloonSpec>,
    /// A NUMA node of the guest; may be repeated. Lists are such as 0-1:4
    #[arg(long, value_name = "cpus=LIST,memory=SIZE[,host=LIST][,distances=N:N...]", value_parser = numa)]
    pub numa: Vec<NumaNodeSpec>,
    /// A disk; may be repeated. The file or block device is locked against a second machine. Each file that a qcow2 image is
    /// based on is named by `backing`, the nearest first; those below it are only read
    #[arg(long, value_name = "path=FILE,format=raw|qcow2[,backing=FORMAT:FILE[,backing-name=NAME]]...[,readonly][,serial=S]\
        [,id=ID][,queues=N][,cache=none|writeback|writethrough][,engine=auto|io-uring|direct][,blocksize=512|4096]\
        [,on-no-space=report|pause][,bps=N[,bps-burst=N]][,iops=N[,iops-burst=N]][,throttle=GROUP]", value_parser = disk)]
    pub disk: Vec<Disk>,
    /// A network interface on an existing tap or macvtap interface, or on none; may be repeated
    ///
    /// user needs no privilege: passt (the package) speaks for the guest with sockets of the host. forward=tcp:8080:80 leads a
    /// port of the host into the guest, from its loopback unless an address stands before it; may be repeated. vhost=on lets the kernel move the frames (/dev/vhost-net); queues=N takes a tap made with `multi_queue`; spoof=off drops
    /// frames that come from other MAC addresses than the interface's. rx- is what comes to the guest, tx- what it sends: bytes in a
    /// second (bps) and frames in a second (pps), each with a burst.
    #[arg(long, value_name = "tap=NAME|user[,forward=tcp|udp:[ADDRESS:]PORT:PORT]...[,queues=N][,vhost=on][,mtu=N][,link=down][,spoof=off][,mac=MAC][,id=ID]\
        [,rx-bps=N[,rx-bps-burst=N]][,rx-pps=N[,rx-pps-burst=N]][,rx-throttle=GROUP][,tx-...]", value_parser = interface)]
    pub net: Vec<Interface>,
    /// Sockets between guest and host: a program connects to FILE and says CONNECT PORT or ACCEPT PORT; the guest also
    /// reaches what listens at `FILE_PORT`
    #[arg(long, value_name = "path=FILE[,cid=N][,connections=N]", value_parser = vsock)]
    pub vsock: Option<VsockSpec>,
    /// A folder that the guest mounts (mount -t virtiofs TAG PLACE); may be repeated. Needs root and virtiofsd, which is locked
    /// into the folder
    #[arg(long, value_name = "tag=TAG,path=FOLDER[,readonly]", value_parser = share)]
    pub share: Vec<ShareSpec>,
    /// Where the serial port leads: the terminal, a file (output only) or nowhere. Default: stdio, with --console stdio null
    #[arg(long, value_name = "stdio|file=FILE|null", value_parser = serial)]
    pub serial: Option<SerialSpec>,
    /// A virtio console, hvc0 in Linux, and where it leads: the terminal, whose size the guest is told, in place of the serial
    /// port, or nowhere
    #[arg(long, value_enum)]
    pub console: Option<Terminal>,
    /// A byte stream between the guest, where Linux has it as /dev/virtio-ports/NAME, and one program at a time that connects
    /// to the UNIX socket FILE; may be repeated
    #[arg(long, value_name = "name=NAME,path=FILE", value_parser = port)]
    pub port: Vec<Port>,
    /// How the kernel is entered
    #[arg(long, value_enum, default_value_t = Protocol::Auto)]
    pub protocol: Protocol,
    /// Leave out the entropy device
    #[arg(long)]
    pub no_rng: bool,
    /// Limits of the entropy device: bytes and requests in a second
    #[arg(long, value_name = "bps=N[,bps-burst=N][,ops=N[,ops-burst=N]]|throttle=GROUP", value_parser = throttle::device,
        conflicts_with = "no_rng")]
    pub rng_throttle: Option<ThrottleSpec>,
    /// Limits that the devices with `throttle=ID` share: bytes and operations in a second; may be repeated
    #[arg(long, value_name = "id=ID[,bps=N[,bps-burst=N]][,ops=N[,ops-burst=N]]", value_parser = throttle::group)]
    pub throttle: Vec<ThrottleGroupSpec>,
    /// A watchdog, and what follows when a guest that has started it does not reset it in time: the machine starts again, ends
    /// with status 15, stays paused, or goes on
    #[arg(long, value_name = "action=reset|poweroff|pause|report", value_parser = watchdog)]
    pub watchdog: Option<WatchdogSpec>,
    /// What follows when the guest resets the machine
    #[arg(long, value_enum, default_value_t = OnReboot::Restart)]
    pub on_reboot: OnReboot,
    /// What follows when the guest kernel reports a panic
    #[arg(long, value_enum, default_value_t = OnCrash::Stop)]
    pub on_panic: OnCrash,
    /// What follows a triple fault of a virtual CPU
    #[arg(long, value_enum, default_value_t = OnCrash::Stop)]
    pub on_triple_fault: OnCrash,
}

fn memory_size(text: &str) -> Result<MemorySize, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (text.get(..at), 10),
        Some((at, 'm' | 'M')) => (text.get(..at), 20),
        Some((at, 'g' | 'G')) => (text.get(..at), 30),
        _ => (Some(text), 0),
    };
    let number = digits.and_then(|digits| digits.parse::<u64>().ok());
    let bytes = number.and_then(|number| number.checked_mul(1 << shift));
    bytes.map(MemorySize).ok_or_else(|| "give a number of bytes, or one with suffix K, M or G".to_owned())
}

fn serial(text: &str) -> Result<SerialSpec, String> {
    match text.split_once('=') {
        None if text == "stdio" => Ok(SerialSpec::Stdio),
        None if text == "null" => Ok(SerialSpec::Null),
        Some(("file", path)) => Ok(SerialSpec::File(FileSource::Path(path.into()))),
        _ => Err("give stdio, null or file=FILE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use flotilla_spec::{DiskAttachment, DiskCache, DiskEngine, DiskFormat, SpacePolicy};

    use super::*;

    fn parse(line: &str) -> Result<RunOptions, clap::Error> {
        let words = ["flotilla-vmm", "run"].into_iter().chain(line.split_whitespace());
        match Arguments::try_parse_from(words)?.command {
            Command::Run(options) => Ok(*options),
            Command::Serve => unreachable!("the line says run"),
        }
    }

    #[test]
    fn the_definition_is_sound_and_help_documents_every_flag() {
        let mut command = Arguments::command();
        command.build();
        let run = command.find_subcommand("run").unwrap();
        for argument in run.get_arguments() {
            assert!(argument.get_help().is_some(), "{} has no help", argument.get_id());
        }
        assert!(
            command
                .find_subcommand_mut("run")
                .unwrap()
                .render_long_help()
                .to_string()
                .contains("triple fault of")
        );
    }

    #[test]
    fn flags_are_read() {
        let options = parse(
            "--kernel k --initrd i --cpus 4 --memory 1G --disk path=d,format=raw,readonly,attach=pmem \
             --disk path=e,format=raw,id=x,queues=2,cache=none,engine=io-uring,blocksize=4096,on-no-space=pause \
             --net tap=t0,mac=52:54:00:00:00:01 --serial file=log --on-reboot stop --vsock path=v,cid=9",
        )
        .unwrap();
        assert_eq!(options.memory, MemorySize(1 << 30));
        let disks: Vec<_> =
            options.disk.into_iter().enumerate().map(|(index, disk)| disk.into_spec(index)).collect();
        assert!(disks[0].read_only && disks[0].id.as_str() == "disk0" && disks[1].id.as_str() == "x");
        assert_eq!((disks[0].attach, disks[1].attach), (DiskAttachment::Pmem, DiskAttachment::Block));
        assert_eq!(
            (disks[0].queues, disks[0].cache, disks[0].engine),
            (None, DiskCache::Writeback, DiskEngine::Auto)
        );
        assert_eq!((disks[1].queues, disks[1].block_size), (Some(2), Some(4096)));
        assert_eq!((disks[0].on_no_space, disks[1].on_no_space), (SpacePolicy::Report, SpacePolicy::Pause));
        assert_eq!((disks[1].cache, disks[1].engine), (DiskCache::None, DiskEngine::IoUring));
        assert_eq!(options.net[0].mac.unwrap().octets(), [0x52, 0x54, 0, 0, 0, 1]);
        let vsock = options.vsock.unwrap();
        assert_eq!((vsock.cid, vsock.max_connections), (9, 1023));
        assert_eq!(options.serial, Some(SerialSpec::File(FileSource::Path("log".into()))));
    }

    #[test]
    fn backing_files_have_an_order_a_format_and_perhaps_a_name() {
        let line = "--kernel k --disk path=d,format=qcow2,backing=qcow2:b,backing=raw:/x/c:1,backing-name=*";
        let disk = parse(line).unwrap().disk.remove(0).into_spec(0);
        assert_eq!(disk.format, DiskFormat::Qcow2);
        let found: Vec<_> = disk.backing.iter().map(|file| (file.format, file.recorded_name())).collect();
        assert_eq!(found, [(DiskFormat::Qcow2, "b".to_owned()), (DiskFormat::Raw, "*".to_owned())]);
        assert_eq!(disk.backing[1].source, FileSource::Path("/x/c:1".into()));
    }

    #[test]
    fn shared_folders_have_a_tag_and_paths_begin_where_the_shell_is() {
        let shares = parse("--kernel k --share tag=a,path=/f,readonly --share path=f,tag=b").unwrap().share;
        let here = std::env::current_dir().unwrap().join("f");
        let found: Vec<_> =
            shares.iter().map(|share| (share.tag.as_str(), &share.source, share.read_only)).collect();
        let [first, second] = ["/f".into(), here].map(FileSource::Path);
        assert_eq!(found, [("a", &first, true), ("b", &second, false)]);
    }

    #[test]
    fn the_terminal_is_of_the_serial_port_or_of_the_console() {
        let all = |line: &str| {
            let options = parse(line).unwrap();
            (
                options.serial_spec(),
                options.command_line(),
                options.console_spec().map(|spec| spec.ports.len()),
            )
        };
        assert_eq!(all("--kernel k"), (SerialSpec::Stdio, "console=ttyS0".to_owned(), None));
        assert_eq!(all("--kernel k --console stdio"), (SerialSpec::Null, "console=hvc0".to_owned(), Some(0)));
        assert_eq!(
            all("--kernel k --port name=a,path=p --port name=b,path=q --cmdline quiet"),
            (SerialSpec::Stdio, "quiet".to_owned(), Some(2))
        );
    }

    #[test]
    fn bad_lines_are_refused() {
        let bad = [
            "",
            "--kernel k --memory lots",
            "--kernel k --memory 99999999999G",
            "--kernel k --disk path=d",
            "--kernel k --disk path=d,format=vmdk",
            "--kernel k --disk path=d,format=qcow2,backing=b",
            "--kernel k --disk path=d,format=qcow2,backing=vmdk:b",
            "--kernel k --disk format=raw",
            "--kernel k --disk path=d,format=raw,fast",
            "--kernel k --disk path=d,format=raw,queues=many",
            "--kernel k --disk path=d,format=raw,queues=65536",
            "--kernel k --disk path=d,format=raw,cache=unsafe",
            "--kernel k --disk path=d,format=raw,engine=aio",
            "--kernel k --disk path=d,format=raw,blocksize=",
            "--kernel k --disk path=d,format=raw,on-no-space=stop",
            "--kernel k --disk path=d,format=raw,attach=nvdimm",
            "--kernel k --net mac=52:54:00:00:00:01",
            "--kernel k --net tap=t,mac=no",
            "--kernel k --net tap=t,user",
            "--kernel k --net tap=t,forward=tcp:8080:80",
            "--kernel k --net user=passt",
            "--kernel k --net user,forward=8080",
            "--kernel k --net user,forward=tcp:8080:0:x",
            "--kernel k --vsock cid=3",
            "--kernel k --vsock path=v,cid=-1",
            "--kernel k --vsock path=v,port=1",
            "--kernel k --share path=/f",
            "--kernel k --share tag=a",
            "--kernel k --share tag=a,path=/f,readonly=yes",
            "machine.json --share tag=a,path=/f",
            "--kernel k --net tap=t,queues=many",
            "--kernel k --net tap=t,vhost=maybe",
            "--kernel k --net tap=t,link=sideways",
            "--kernel k --net tap=t,spoof",
            "--kernel k --disk path=d,format=raw,bps=fast",
            "--kernel k --net tap=t,rx-iops=3",
            "--kernel k --rng-throttle speed=3",
            "--kernel k --rng-throttle bps=3 --no-rng",
            "--kernel k --throttle bps=3",
            "machine.json --throttle id=a",
            "--kernel k --serial telnet",
            "--kernel k --console file=x",
            "--kernel k --port agent",
            "machine.json --console stdio",
            "machine.json --port name=a,path=b",
            "--kernel k --cpus many",
            "--kernel k --cpu-model z80",
            "--kernel k --pin-vcpus 0/x",
            "--kernel k --memory-backing disk",
            "--kernel k --numa cpus=0",
            "machine.json --prefault",
            "machine.json --watchdog action=reset",
            "--kernel k --watchdog",
            "--kernel k --watchdog action=bark",
            "machine.json --cpu-model host",
            "machine.json --kernel k",
            "machine.json --cpus 2",
        ];
        for line in bad {
            assert!(parse(line).is_err(), "{line}");
        }
        assert_eq!(parse("machine.json").unwrap().machine.unwrap().as_os_str(), "machine.json");
    }
}
