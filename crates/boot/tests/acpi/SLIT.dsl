// SLIT, decoded by iasl
[000h 0000   4]                    Signature : "SLIT"    [System Locality Information Table]
[004h 0004   4]                 Table Length : 00000030
[008h 0008   1]                     Revision : 01
[009h 0009   1]                     Checksum : F8
[00Ah 0010   6]                       Oem ID : "FLOTIL"
[010h 0016   8]                 Oem Table ID : "FLOTILLA"
[018h 0024   4]                 Oem Revision : 00000001
[01Ch 0028   4]              Asl Compiler ID : "RVAT"
[020h 0032   4]        Asl Compiler Revision : 01000000

[024h 0036   8]                   Localities : 0000000000000002
[02Ch 0044   2]                 Locality   0 : 0A 11
[02Eh 0046   2]                 Locality   1 : 14 0A

Raw Table Data: Length 48 (0x30)

    0000: 53 4C 49 54 30 00 00 00 01 F8 46 4C 4F 54 49 4C  // SLIT0.....FLOTIL
    0010: 46 4C 4F 54 49 4C 4C 41 01 00 00 00 52 56 41 54  // FLOTILLA....RVAT
    0020: 00 00 00 01 02 00 00 00 00 00 00 00 0A 11 14 0A  // ................
