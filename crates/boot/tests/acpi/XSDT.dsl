// XSDT, decoded by iasl
[000h 0000   4]                    Signature : "XSDT"    [Extended System Description Table]
[004h 0004   4]                 Table Length : 0000003C
[008h 0008   1]                     Revision : 01
[009h 0009   1]                     Checksum : 6A
[00Ah 0010   6]                       Oem ID : "FLOTIL"
[010h 0016   8]                 Oem Table ID : "FLOTILLA"
[018h 0024   4]                 Oem Revision : 00000001
[01Ch 0028   4]              Asl Compiler ID : "RVAT"
[020h 0032   4]        Asl Compiler Revision : 01000000

[024h 0036   8]       ACPI Table Address   0 : 00000000000E0380
[02Ch 0044   8]       ACPI Table Address   1 : 00000000000E04C0
[034h 0052   8]       ACPI Table Address   2 : 00000000000E0540

Raw Table Data: Length 60 (0x3C)

    0000: 58 53 44 54 3C 00 00 00 01 6A 46 4C 4F 54 49 4C  // XSDT<....jFLOTIL
    0010: 46 4C 4F 54 49 4C 4C 41 01 00 00 00 52 56 41 54  // FLOTILLA....RVAT
    0020: 00 00 00 01 80 03 0E 00 00 00 00 00 C0 04 0E 00  // ................
    0030: 00 00 00 00 40 05 0E 00 00 00 00 00              // ....@.......
