// Owned, growable memory for trivial elements. Index arrays are scanned from start to end for every token, so
// they are one contiguous block; a class or enum payload per row would cost more than the row.

/// A contiguous, growable buffer of trivial elements that frees its memory when it goes.
///
/// Growth doubles the capacity, so appending is amortized O(1). Pointers and lists stay valid until the next growth,
/// which is for who asks for them to see; elements are asked for within bounds.
/// The elements may lie in memory of someone else, a mapped file say, until the first growth copies them.
@safe package struct RowBuffer<Element: BitwiseCopyable>: ~Copyable {
  package private(set) var base: UnsafeMutablePointer<Element>
  package private(set) var count = 0
  package private(set) var capacity: Int
  /// Keeps the memory at `base` alive; nil when it is the buffer's own.
  private var owner: AnyObject?

  package init(capacity: Int = 0) {
    self.capacity = max(capacity, 1)
    unsafe base = .allocate(capacity: self.capacity)
  }

  /// A buffer with a copy of an array.
  package init(_ elements: [Element]) {
    self.init(capacity: elements.count)
    unsafe elements.withUnsafeBufferPointer { elements in
      guard let start = elements.baseAddress else { return }
      unsafe grow(by: elements.count).initialize(from: start, count: elements.count)
    }
  }

  /// A buffer of `count` elements that are already there, in writable memory that lives as long as `owner`.
  package init(unsafeBorrowing base: UnsafeMutablePointer<Element>, count: Int, owner: AnyObject) {
    unsafe self.base = base
    self.count = count
    self.owner = owner
    capacity = count
  }

  deinit {
    if owner == nil { unsafe base.deallocate() }
  }

  /// Whether the elements still lie in memory of someone else.
  package var isBorrowed: Bool { owner != nil }

  /// The elements as they are now; valid until the next growth.
  @unsafe package var list: ListView<Element> { unsafe ListView(base, count: count) }

  /// All that fits before the next growth, elements that are none yet included.
  @unsafe package var room: ListView<Element> { unsafe ListView(base, count: capacity) }

  /// Bytes in use.
  package var byteCount: Int { count * MemoryLayout<Element>.stride }

  package subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "row buffer index \(index) is outside 0..<\(count)")
      return unsafe base[index]
    }
    set {
      precondition(index >= 0 && index < count, "row buffer index \(index) is outside 0..<\(count)")
      unsafe base[index] = newValue
    }
  }

  /// Makes room for `additional` more elements, uninitialized, and returns a pointer to the first of them.
  @discardableResult
  package mutating func grow(by additional: Int) -> UnsafeMutablePointer<Element> {
    precondition(additional >= 0, "a row buffer cannot grow by \(additional)")
    reserve(count + additional)
    defer { count += additional }
    return unsafe base + count
  }

  package mutating func append(_ element: Element) {
    unsafe grow(by: 1).initialize(to: element)
  }

  package mutating func append(contentsOf elements: Span<Element>) {
    let target = unsafe grow(by: elements.count)
    unsafe elements.withUnsafeBufferPointer { elements in
      if let start = elements.baseAddress { unsafe target.update(from: start, count: elements.count) }
    }
  }

  package mutating func removeAll() {
    count = 0
  }

  /// Drops all elements from `newCount` on.
  package mutating func removeLast(to newCount: Int) {
    precondition(newCount >= 0 && newCount <= count, "cannot keep \(newCount) of \(count) elements")
    count = newCount
  }

  /// Makes sure that at least `minimum` elements fit, and leaves `count` as it is.
  package mutating func reserve(_ minimum: Int) {
    guard minimum > capacity else { return }
    let larger = max(minimum, capacity * 2)
    let moved = UnsafeMutablePointer<Element>.allocate(capacity: larger)
    unsafe moved.update(from: base, count: count)
    if owner == nil { unsafe base.deallocate() }
    owner = nil
    unsafe base = moved
    capacity = larger
  }
}
