// Spans as the pointers that C takes. An empty span may have no address; kernels then read nothing, and get one
// that is aligned and otherwise meaningless.

extension Span where Element: BitwiseCopyable {
  func withPointer<Result>(_ body: (UnsafePointer<Element>) -> Result) -> Result {
    withUnsafeBufferPointer { body($0.baseAddress ?? placeholder()) }
  }
}

extension MutableSpan where Element: BitwiseCopyable {
  mutating func withPointer<Result>(_ body: (UnsafeMutablePointer<Element>) -> Result) -> Result {
    withUnsafeMutableBufferPointer { body($0.baseAddress ?? UnsafeMutablePointer(mutating: placeholder())) }
  }
}

private func placeholder<Element>() -> UnsafePointer<Element> {
  UnsafePointer(bitPattern: MemoryLayout<Element>.alignment)!
}

/// Calls `body` with `count` floats that last for the call.
func withScratch(_ count: Int, _ body: (UnsafeMutablePointer<Float>) -> Void) {
  withUnsafeTemporaryAllocation(of: Float.self, capacity: max(count, 1)) { body($0.baseAddress!) }
}
