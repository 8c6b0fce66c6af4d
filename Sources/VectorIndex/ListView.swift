// Elements in memory of somebody else, with their number.

package import AttentionKernels

/// A list in memory of somebody else, which may be written: a piece of scratch memory, or of a buffer, with its length.
///
/// Making one of an address is unsafe: whoever does says that so many elements are there for as long as the list or a
/// copy is used. What is asked of it is then within bounds, which is checked; loops over many elements at places of
/// their own choosing take ``base``.
@safe package struct ListView<Element: BitwiseCopyable>: RandomAccessCollection {
  package let base: UnsafeMutablePointer<Element>
  package let count: Int

  @inlinable
  package init(_ base: UnsafeMutablePointer<Element>, count: Int) {
    precondition(count >= 0, "a list of \(count)")
    unsafe self.base = unsafe base
    self.count = count
  }

  /// No elements.
  @inlinable package static var empty: ListView {
    unsafe ListView(UnsafeMutablePointer(bitPattern: MemoryLayout<Element>.alignment)!, count: 0)
  }

  @inlinable package var startIndex: Int { 0 }
  @inlinable package var endIndex: Int { count }

  @inlinable
  package subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "element \(index) of \(count)")
      return unsafe base[index]
    }
    nonmutating set {
      precondition(index >= 0 && index < count, "element \(index) of \(count)")
      unsafe base[index] = newValue
    }
  }

  /// The first ones, in the same memory.
  @inlinable
  package func first(_ number: Int) -> ListView {
    precondition(number <= count, "\(number) of \(count) elements")
    return unsafe ListView(base, count: number)
  }

  /// All but the first ones, in the same memory.
  @inlinable
  package func from(_ number: Int) -> ListView {
    precondition(number >= 0, "from element \(number)")
    return unsafe ListView(base + number, count: count - number)
  }

  /// Sets all elements.
  @inlinable
  package func fill(_ element: Element) { unsafe base.update(repeating: element, count: count) }

  @inlinable
  package func sort(by areInOrder: (Element, Element) -> Bool) {
    var elements = unsafe UnsafeMutableBufferPointer(start: base, count: count)
    unsafe elements.sort(by: areInOrder)
  }

  @inlinable
  package func sort() where Element: Comparable {
    var elements = unsafe UnsafeMutableBufferPointer(start: base, count: count)
    unsafe elements.sort()
  }

  /// Goes through the elements without asking again how many there are.
  @safe package struct Iterator: IteratorProtocol {
    @usableFromInline var place: UnsafeMutablePointer<Element>
    @usableFromInline let end: UnsafeMutablePointer<Element>

    @inlinable
    init(_ list: ListView) {
      unsafe place = unsafe list.base
      unsafe end = unsafe list.base + list.count
    }

    @inlinable
    package mutating func next() -> Element? {
      guard unsafe place != end else { return nil }
      defer { unsafe place += 1 }
      return unsafe place.pointee
    }
  }

  @inlinable package func makeIterator() -> Iterator { Iterator(self) }
}

extension ListView where Element == Float {
  /// The same as rows without gaps.
  package func rows(dimension: Int) -> FloatRows {
    unsafe FloatRows(base, count: count / dimension, dimension: dimension)
  }

  /// The same as a matrix without gaps.
  package func matrix(rows: Int, columns: Int) -> FloatMatrix {
    precondition(rows * columns <= count, "\(rows) x \(columns) of \(count) elements")
    return unsafe FloatMatrix(base, rows: rows, columns: columns)
  }
}

extension Array where Element: BitwiseCopyable {
  /// Calls `body` with the elements as a list, which must only be read.
  @unsafe package func withUnsafeList<Result>(_ body: (ListView<Element>) throws -> Result) rethrows -> Result
  {
    try unsafe withUnsafeBufferPointer { elements in
      guard let base = elements.baseAddress else { return try body(.empty) }
      return try unsafe body(ListView(UnsafeMutablePointer(mutating: base), count: count))
    }
  }
}

extension RowSelection {
  /// The rows of a list of numbers, in their order.
  package static func listed(_ rows: ListView<UInt32>) -> RowSelection {
    unsafe .listed(rows.base, count: rows.count)
  }
}
