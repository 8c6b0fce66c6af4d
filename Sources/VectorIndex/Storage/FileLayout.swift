// Where things are in an index file.

/// Sizes in bytes of the parts of a header.
enum FileLayout {
  static let formatVersion: UInt32 = 1
  /// Unlike any text, and damaged by any change of line ends: 0x89 "RAI" CR LF 0x1A LF.
  static let magic: [UInt8] = [0x89, 0x52, 0x41, 0x49, 0x0d, 0x0a, 0x1a, 0x0a]
  static let fixedHeader = 64
  /// Where the checksum of the header is: its last four bytes before the tables.
  static let checksumOffset = 60
  static let sectionEntry = 32
  static let parameterEntry = 16
  /// Sections start at multiples of this, a cache line.
  static let alignment = 64
  /// More sections or parameters than any kind has; a header of that many entries is read in a blink.
  static let maximumEntries = 1024
  /// Heads have up to a few hundred dimensions.
  static let maximumDimension = 65_536

  /// The first aligned offset that is not before `offset`; nil when it is beyond what can be counted.
  static func aligned(_ offset: UInt64) -> UInt64? {
    let (sum, overflow) = offset.addingReportingOverflow(UInt64(alignment - 1))
    return overflow ? nil : sum & ~UInt64(alignment - 1)
  }
}

/// How the 8 bytes of a parameter are to be read.
enum ParameterType: UInt32 {
  case integer = 1
  case unsigned = 2
  case float = 3
}
