// Spans as the pointers that C takes. An empty span may have no address; kernels then read nothing, and get one
// that is aligned and otherwise meaningless.

extension Span where Element: BitwiseCopyable {
  func withPointer<Result>(_ body: (UnsafePointer<Element>) -> Result) -> Result {
    unsafe withUnsafeBufferPointer { unsafe body($0.baseAddress ?? placeholder()) }
  }
}

extension MutableSpan where Element: BitwiseCopyable {
  mutating func withPointer<Result>(_ body: (UnsafeMutablePointer<Element>) -> Result) -> Result {
    unsafe withUnsafeMutableBufferPointer {
      unsafe body($0.baseAddress ?? UnsafeMutablePointer(mutating: placeholder()))
    }
  }
}

/// Calls `body` with the addresses of arrays, none of which is empty.
func withPointers(
  _ a: inout [Float], _ b: inout [Float],
  _ body: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) -> Void
) {
  unsafe a.withUnsafeMutableBufferPointer { a in
    unsafe b.withUnsafeMutableBufferPointer { b in unsafe body(a.baseAddress!, b.baseAddress!) }
  }
}

/// The same for three.
func withPointers(
  _ a: inout [Float], _ b: inout [Float], _ c: inout [Float],
  _ body: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) -> Void
) {
  unsafe withPointers(&a, &b) { a, b in
    unsafe c.withUnsafeMutableBufferPointer { c in unsafe body(a, b, c.baseAddress!) }
  }
}

private func placeholder<Element>() -> UnsafePointer<Element> {
  unsafe UnsafePointer(bitPattern: MemoryLayout<Element>.alignment)!
}

/// Calls `body` with `count` floats that last for the call.
func withScratch(_ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) {
  unsafe withUnsafeTemporaryAllocation(of: Float.self, capacity: max(count, 1)) {
    unsafe body($0.baseAddress!)
  }
}
