// The kernels that the engine calls with addresses, called with the matrices of tests.

import AttentionKernels

extension Span {
  /// An empty span may have no address; nothing is read then.
  fileprivate func address<Result>(_ body: (UnsafePointer<Element>) -> Result) -> Result {
    withUnsafeBufferPointer { body($0.baseAddress ?? UnsafePointer(bitPattern: 64)!) }
  }
}

extension MutableSpan {
  fileprivate mutating func address<Result>(_ body: (UnsafeMutablePointer<Element>) -> Result) -> Result {
    withUnsafeMutableBufferPointer { body($0.baseAddress ?? UnsafeMutablePointer(bitPattern: 64)!) }
  }
}

extension Matrix<Float> {
  func rows<Result>(_ body: (FloatRows) -> Result) -> Result {
    elements.span.address {
      body(FloatRows($0, count: shape.count, dimension: shape.dimension, stride: shape.stride))
    }
  }
}

extension Matrix<UInt16> {
  func rows<Result>(_ body: (PackedRows) -> Result) -> Result {
    elements.span.address { body(PackedRows($0, stride: shape.stride)) }
  }
}

/// All rows, or those of a list.
func selected<Result>(_ indices: [UInt32]?, of count: Int, _ body: (RowSelection) -> Result) -> Result {
  guard let indices else { return body(.first(count)) }
  return indices.span.address { body(.listed($0, count: indices.count)) }
}

extension Kernels {
  func dot(
    _ queries: Matrix<Float>, _ rows: Matrix<UInt16>, indices: [UInt32]? = nil, into scores: inout [Float],
    stride: Int
  ) {
    var span = scores.mutableSpan
    span.address { scores in
      queries.rows { queries in
        rows.rows { packed in
          selected(indices, of: rows.shape.count) {
            unsafeDot(queries, with: packed, $0, scores: scores, scoreStride: stride)
          }
        }
      }
    }
  }

  func dot(_ queries: Matrix<Float>, _ rows: Matrix<Float>, into scores: inout [Float], stride: Int) {
    var span = scores.mutableSpan
    span.address { scores in
      queries.rows { queries in
        rows.rows { unsafeDot(queries, with: $0, scores: scores, scoreStride: stride) }
      }
    }
  }

  func attend(
    _ queries: Matrix<Float>, _ keys: Matrix<UInt16>, _ values: Matrix<UInt16>, indices: [UInt32]? = nil,
    states: inout SoftmaxStates
  ) {
    var scratch = [Float](repeating: .nan, count: Self.attendScratchCount(queryCount: states.count))
    states.withPointers { states in
      queries.rows { queries in
        keys.rows { keyRows in
          values.rows { valueRows in
            selected(indices, of: keys.shape.count) {
              unsafeAttend(
                queries, to: KeyValueRows(keys: keyRows, values: valueRows), $0, states: states,
                scratch: &scratch)
            }
          }
        }
      }
    }
  }

  func prefill(
    _ queries: Matrix<Float>, scale: Float, _ keys: Matrix<UInt16>, _ values: Matrix<UInt16>,
    visible: (begins: [UInt32], ends: [UInt32]), states: inout SoftmaxStates
  ) {
    keys.rows { keyRows in
      values.rows { valueRows in
        prefill(
          queries, scale: scale, KeyValueRows(keys: keyRows, values: valueRows), count: keys.shape.count,
          visible: visible, states: &states)
      }
    }
  }

  func prefill(
    _ queries: Matrix<Float>, scale: Float, _ rows: KeyValueRows, count: Int,
    visible: (begins: [UInt32], ends: [UInt32]), indices: [UInt32]? = nil, biases: [Float]? = nil,
    states: inout SoftmaxStates
  ) {
    var scratch = [Float](
      repeating: .nan, count: Self.prefillScratchCount(dimension: queries.shape.dimension))
    states.withPointers { states in
      queries.rows { queries in
        visible.begins.span.address { begins in
          visible.ends.span.address { ends in
            selected(indices, of: count) { selection in
              func call(_ biases: UnsafePointer<Float>?) {
                unsafePrefill(
                  queries, scale: scale, to: rows,
                  visible: VisibleKeys(begins: begins, ends: ends, of: selection, biases: biases),
                  states: states, scratch: &scratch)
              }
              if let biases { biases.span.address { call($0) } } else { call(nil) }
            }
          }
        }
      }
    }
  }

  func softmaxAccumulate(
    _ scores: [Float], stride: Int? = nil, _ values: Matrix<UInt16>, indices: [UInt32]? = nil,
    states: inout SoftmaxStates
  ) {
    states.withPointers { states in
      scores.span.address { scores in
        values.rows { rows in
          selected(indices, of: values.shape.count) {
            unsafeSoftmaxAccumulate(scores: scores, scoreStride: stride, values: rows, $0, to: states)
          }
        }
      }
    }
  }

  /// Best centroids of points, and their values.
  func assign(
    _ points: Matrix<Float>, to centroids: Matrix<Float>, halfNorms: [Float]
  ) -> (assignments: [UInt32], best: [Float]) {
    var assignments = [UInt32](repeating: .max, count: points.shape.count)
    var best = [Float](repeating: .nan, count: points.shape.count)
    var scratch = [Float](
      repeating: .nan, count: Self.assignScratchCount(dimension: points.shape.dimension))
    points.rows { points in
      centroids.rows {
        unsafeAssign(
          points, to: $0, halfNorms: halfNorms, assignments: &assignments, best: &best, scratch: &scratch)
      }
    }
    return (assignments, best)
  }

  /// Codes by the bits of an LVQ element; nil for PQ.
  enum CodeKind { case lvq8, lvq4, pq4 }

  /// Scores `[queries, rows]` of integers or tables `[queries, width]`, one of which is behind them.
  func score<Element>(
    _ kind: CodeKind, _ data: [Element], _ weights: (scales: [Float], sums: [Float], bases: [Float]),
    blocks: [UInt8], width: Int, _ rows: Range<Int>
  ) -> [Float] {
    let m = weights.scales.count
    var scores = [Float](repeating: 7, count: m * rows.count + 1)
    let stride = data.count / m * MemoryLayout<Element>.stride
    var span = scores.mutableSpan
    span.address { scores in
      data.span.address { data in
        weights.scales.span.address { scales in
          weights.sums.span.address { sums in
            weights.bases.span.address { bases in
              blocks.span.address { blocks in
                let queries = CodeQueries(
                  data, stride: stride, count: m, scales: scales, sums: sums, bases: bases)
                let blocks = CodeBlocks(blocks, width: width)
                switch kind {
                case .lvq8:
                  unsafeDotLVQ8(queries, with: blocks, rows, scores: scores, scoreStride: rows.count)
                case .lvq4:
                  unsafeDotLVQ4(queries, with: blocks, rows, scores: scores, scoreStride: rows.count)
                case .pq4: unsafeDotPQ4(queries, with: blocks, rows, scores: scores, scoreStride: rows.count)
                }
              }
            }
          }
        }
      }
    }
    return scores
  }
}
