// Element types of .npy files, and 16-bit floats as their bits (`Float16` is missing on Intel Macs).

/// A type of elements, whatever their byte order.
public enum NumpyElementType: String, CaseIterable, Sendable {
  /// IEEE 754 binary16.
  case float16 = "f2"
  /// IEEE 754 binary32.
  case float32 = "f4"
  /// IEEE 754 binary64.
  case float64 = "f8"
  /// 8 bits, with a sign.
  case int8 = "i1"
  /// 16 bits, with a sign.
  case int16 = "i2"
  /// 32 bits, with a sign.
  case int32 = "i4"
  /// 64 bits, with a sign.
  case int64 = "i8"
  /// 8 bits, without a sign.
  case uint8 = "u1"
  /// 16 bits, without a sign.
  case uint16 = "u2"
  /// 32 bits, without a sign.
  case uint32 = "u4"
  /// 64 bits, without a sign.
  case uint64 = "u8"
  /// One byte, 0 or 1.
  case bool = "b1"

  /// Bytes of an element.
  public var byteCount: Int {
    switch self {
    case .int8, .uint8, .bool: 1
    case .float16, .int16, .uint16: 2
    case .float32, .int32, .uint32: 4
    case .float64, .int64, .uint64: 8
    }
  }

  /// As numpy writes it: with the byte order, little-endian, or a bar for single bytes.
  public var descriptor: String { (byteCount == 1 ? "|" : "<") + rawValue }
}

/// IEEE 754 binary16 as bits.
enum Half {
  /// Exact.
  static func double(_ bits: UInt16) -> Double {
    let fraction = Double(bits & 0x3FF)
    let exponent = Int(bits >> 10 & 0x1F)
    let magnitude: Double =
      switch exponent {
      case 0: fraction * 0x1p-24
      case 31: fraction == 0 ? .infinity : .nan
      default: Double(sign: .plus, exponent: exponent - 25, significand: 1024 + fraction)
      }
    return bits & 0x8000 == 0 ? magnitude : -magnitude
  }

  /// To nearest, ties to even; beyond 65,504 infinity.
  static func bits(_ value: Double) -> UInt16 {
    let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
    let magnitude = value.magnitude
    if magnitude.isNaN { return sign | 0x7E00 }
    if magnitude >= 65520 { return sign | 0x7C00 }
    // A significand that rounds up to the next power of two carries into the exponent, as it should.
    if magnitude < 0x1p-14 { return sign | UInt16((magnitude * 0x1p24).rounded(.toNearestOrEven)) }
    let exponent = UInt16(Int(magnitude.exponent) + 14)
    return sign | ((exponent << 10) + UInt16((magnitude.significand * 1024).rounded(.toNearestOrEven)))
  }
}
