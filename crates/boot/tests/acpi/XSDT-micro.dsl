// XSDT-micro, decoded by iasl
[000h 0000   4]                    Signature : "XSDT"    [Extended System Description Table]
[004h 0004   4]                 Table Length : 00000034
[008h 0008   1]                     Revision : 01
[009h 0009   1]                     Checksum : BB
[00Ah 0010   6]                       Oem ID : "FLOTIL"
[010h 0016   8]                 Oem Table ID : "FLOTILLA"
[018h 0024   4]                 Oem Revision : 00000001
[01Ch 0028   4]              Asl Compiler ID : "RVAT"
[020h 0032   4]        Asl Compiler Revision : 01000000

[024h 0036   8]       ACPI Table Address   0 : 00000000000E0800
[02Ch 0044   8]       ACPI Table Address   1 : 00000000000E0940

Raw Table Data: Length 52 (0x34)

    0000: 58 53 44 54 34 00 00 00 01 BB 46 4C 4F 54 49 4C  // XSDT4.....FLOTIL
    0010: 46 4C 4F 54 49 4C 4C 41 01 00 00 00 52 56 41 54  // FLOTILLA....RVAT
    0020: 00 00 00 01 00 08 0E 00 00 00 00 00 40 09 0E 00  // ............@...
    0030: 00 00 00 00                                      // ....
