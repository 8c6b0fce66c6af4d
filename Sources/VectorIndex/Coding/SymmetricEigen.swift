// Eigenvectors of symmetric matrices of the size of a head. Runs once when codes are learned.

/// Eigenvalues and eigenvectors of a symmetric positive semidefinite matrix.
package struct SymmetricEigen {
  /// Highest first, `[d]`.
  package var values: [Double]
  /// One eigenvector a row, `[d, d]`.
  package var vectors: [Double]

  /// One-sided Jacobi rotations (Hestenes; Golub and Van Loan, Matrix Computations, 8.6.3): rows of the matrix are
  /// rotated in pairs until all are orthogonal; row i is then its eigenvalue times its eigenvector.
  ///
  /// About 10 sweeps of `3 d^3` operations. Directions whose eigenvalue is below 1e-12 of the highest come out with
  /// little accuracy: callers add a ridge.
  package init(_ matrix: [Double], dimension d: Int) {
    precondition(matrix.count == d * d, "a matrix of \(matrix.count) elements is not \(d) x \(d)")
    var rows = matrix
    unsafe rows.withUnsafeMutableBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      for _ in 0..<Self.maximumSweeps {
        var rotated = false
        for i in 0..<d {
          for j in i + 1..<d where unsafe Self.orthogonalize(base + i * d, base + j * d, d) { rotated = true }
        }
        if !rotated { break }
      }
    }
    let norms = (0..<d).map { i in
      rows[i * d..<(i + 1) * d].reduce(0) { $0 + $1 * $1 }.squareRoot()
    }
    let order = (0..<d).sorted { (norms[$0], $1) > (norms[$1], $0) }
    values = order.map { norms[$0] }
    vectors = order.flatMap { i in
      rows[i * d..<(i + 1) * d].map { norms[i] > 0 ? $0 / norms[i] : 0 }
    }
  }

  private static let maximumSweeps = 30

  /// Rotates two rows in their plane so that they become orthogonal; false when they already are.
  private static func orthogonalize(
    _ a: UnsafeMutablePointer<Double>, _ b: UnsafeMutablePointer<Double>, _ d: Int
  ) -> Bool {
    let (aa, ab, bb) = unsafe products(a, b, d)
    guard abs(ab) > 1e-9 * (aa * bb).squareRoot() else { return false }
    let zeta = (bb - aa) / (2 * ab)
    let tangent = (zeta < 0 ? -1 : 1) / (abs(zeta) + (1 + zeta * zeta).squareRoot())
    let cosine = 1 / (1 + tangent * tangent).squareRoot()
    let sine = cosine * tangent
    for k in 0..<d {
      let (x, y) = unsafe (a[k], b[k])
      unsafe a[k] = cosine * x - sine * y
      unsafe b[k] = sine * x + cosine * y
    }
    return true
  }

  /// `a.a`, `a.b` and `b.b`, in lanes: the order of a plain sum would keep the compiler from using vectors.
  private static func products(
    _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ d: Int
  ) -> (Double, Double, Double) {
    var (aa, ab, bb) = (SIMD8<Double>.zero, SIMD8<Double>.zero, SIMD8<Double>.zero)
    var k = 0
    while k + 8 <= d {
      let x = unsafe UnsafeRawPointer(a + k).loadUnaligned(as: SIMD8<Double>.self)
      let y = unsafe UnsafeRawPointer(b + k).loadUnaligned(as: SIMD8<Double>.self)
      aa += x * x
      ab += x * y
      bb += y * y
      k += 8
    }
    var result = (aa.sum(), ab.sum(), bb.sum())
    while k < d {
      unsafe result.0 += a[k] * a[k]
      unsafe result.1 += a[k] * b[k]
      unsafe result.2 += b[k] * b[k]
      k += 1
    }
    return result
  }
}

/// `A B` for matrices `[d, d]`.
func squareProduct(_ a: [Double], _ b: [Double], dimension d: Int) -> [Double] {
  var result = [Double](repeating: 0, count: d * d)
  unsafe a.withUnsafeBufferPointer { a in
    unsafe b.withUnsafeBufferPointer { b in
      unsafe result.withUnsafeMutableBufferPointer { c in
        for i in 0..<d {
          for k in 0..<d {
            let factor = unsafe a[i * d + k]
            for j in 0..<d { unsafe c[i * d + j] += factor * b[k * d + j] }
          }
        }
      }
    }
  }
  return result
}
