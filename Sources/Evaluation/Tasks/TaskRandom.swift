// Random choices that are the same on every machine and with every version of Swift.

import VectorIndex

/// Draws from a seeded generator with rules of its own: those of the standard library may change.
public struct TaskRandom: Sendable {
  private var generator: SeededGenerator

  /// The same numbers for the same seed.
  public init(seed: UInt64) {
    generator = SeededGenerator(seed: seed)
  }

  /// The generator of one sample: samples of other names, lengths and numbers have nothing in common.
  public init(seed: UInt64, task: String, length: Int, sample: Int) {
    var hash = StableHash()
    hash.add(task)
    hash.add("\(seed) \(length) \(sample)")
    self.init(seed: hash.value)
  }

  /// Even in `0..<bound`. Traps for a bound that is not positive.
  public mutating func below(_ bound: Int) -> Int {
    precondition(bound > 0, "the bound \(bound) is not positive")
    // The high half of the product (Lemire 2019); its bias is below bound / 2^64.
    return Int(generator.next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// One of them, each as likely as any other. There must be one.
  public mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

  /// Fisher and Yates.
  public mutating func shuffle<Element>(_ elements: inout [Element]) {
    for last in stride(from: elements.count - 1, to: 0, by: -1) { elements.swapAt(last, below(last + 1)) }
  }

  /// `count` different numbers in `0..<bound`, in the order drawn. Traps when there are not so many.
  public mutating func distinct(_ count: Int, below bound: Int) -> [Int] {
    precondition(count <= bound, "there are no \(count) different numbers below \(bound)")
    // The head of a shuffle of all numbers, of which only those moved are kept.
    var moved: [Int: Int] = [:]
    return (0..<count).map { index in
      let other = index + below(bound - index)
      let drawn = moved[other] ?? other
      moved[other] = moved[index] ?? index
      return drawn
    }
  }

  /// A number of exactly `count` decimal digits, the first not zero.
  public mutating func digits(_ count: Int) -> String {
    var text = ""
    for place in 0..<count { text += "\(place == 0 ? 1 + below(9) : below(10))" }
    return text
  }

  /// `count` letters from a to z.
  public mutating func letters(_ count: Int) -> String {
    var text = ""
    for _ in 0..<count { text.unicodeScalars.append(Unicode.Scalar(UInt8(ascii: "a") + UInt8(below(26)))) }
    return text
  }

  /// A random (version 4) UUID in lower case.
  public mutating func uuid() -> String {
    let digits = Array("0123456789abcdef")
    var text = ""
    for place in 0..<32 {
      if [8, 12, 16, 20].contains(place) { text += "-" }
      let digit = place == 12 ? 4 : place == 16 ? 8 + below(4) : below(16)
      text.append(digits[digit])
    }
    return text
  }
}

/// FNV-1a, 64 bits: the same on every machine, unlike `Hasher`. Not for secrets.
struct StableHash {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ bytes: some Sequence<UInt8>) {
    for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
  }

  /// The text and an end mark, so that "ab", "c" differs from "a", "bc".
  mutating func add(_ text: String) {
    add(text.utf8)
    add(CollectionOfOne(0xFF))
  }

  /// 16 hexadecimal digits.
  var description: String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
