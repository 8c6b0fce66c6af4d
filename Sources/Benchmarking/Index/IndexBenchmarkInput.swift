// Which heads a benchmark of indexes runs over: a whole capture, or single files.

import Foundation

/// Vectors to measure indexes on. Heads are read one at a time.
package struct IndexBenchmarkInput: Sendable {
  /// What it is called in reports.
  package let name: String
  /// How queries were rotated.
  package let rope: CaptureRope
  /// What queries are multiplied by; nil for `1 / sqrt(d)`.
  package let scale: Float?
  let heads: [(name: String, files: HeadFiles)]
  /// What `capture.json` promises; nil for single files.
  private let description: CaptureDescription?

  package var headCount: Int { heads.count }

  /// The vectors of one KV head in files of their own.
  ///
  /// - Parameters:
  ///   - scale: what queries are multiplied by; nil for `1 / sqrt(d)`.
  ///   - rope: how keys and queries were rotated; of 0 dimensions for all of a key's elements.
  /// - Throws: ``CaptureError``
  package init(files: HeadFiles, scale: Float? = nil, rope: CaptureRope = .none) throws {
    if let scale, !scale.isFinite || scale <= 0 {
      throw CaptureError.invalid(path: files.keys, name: "scale", value: "\(scale)", requirement: "positive")
    }
    name = URL(fileURLWithPath: files.keys).lastPathComponent
    self.rope = rope
    self.scale = scale
    heads = [(files.keys, files)]
    description = nil
  }

  /// A folder as ``CaptureDescription`` describes it.
  ///
  /// - Parameters:
  ///   - layers: nil for all that were captured.
  ///   - heads: KV heads of each layer; nil for all.
  /// - Throws: ``CaptureError``
  package init(directory: String, layers: [Int]? = nil, heads: [Int]? = nil) throws {
    let description = try CaptureDescription(directory: directory)
    func check(_ name: String, _ chosen: [Int]?, among all: [Int]) throws(CaptureError) -> [Int] {
      guard let chosen else { return all }
      for number in chosen where !all.contains(number) {
        throw .invalid(path: directory, name: name, value: "\(number)", requirement: "one of \(all)")
      }
      guard !chosen.isEmpty else {
        throw .invalid(path: directory, name: name, value: "empty", requirement: "some of \(all)")
      }
      return chosen
    }
    let layers = try check("layer", layers, among: description.layers)
    let numbers = try check("head", heads, among: Array(0..<description.kvHeadCount))
    let folder = URL(fileURLWithPath: directory)
    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    name =
      "\(description.model), \(description.text), \(description.context) tokens, layers "
      + layers.map { "\($0)" }.joined(separator: ",")
    self.description = description
    rope = description.rope
    scale = description.scale
    self.heads = layers.flatMap { layer in
      numbers.map { head in
        func file(_ file: CaptureDescription.HeadFile) -> String {
          path(CaptureDescription.fileName(layer: layer, head: head, file))
        }
        return (
          "layer \(layer), head \(head)",
          HeadFiles(
            keys: file(.keys), values: file(.values), queries: file(.queries),
            queryPositions: path(CaptureDescription.queryPositionsName),
            trainingQueries: file(.trainingQueries),
            trainingPositions: path(CaptureDescription.trainingPositionsName))
        )
      }
    }
  }

  /// How the queries of a head were rotated.
  ///
  /// - Throws: ``IndexBenchmarkError/invalidSetting(name:value:requirement:)`` for what heads of this width cannot
  ///   have.
  func rope(of head: CapturedHead) throws(IndexBenchmarkError) -> CaptureRope {
    var rope = rope
    if description == nil, rope.dimensions == 0 { rope.dimensions = head.dimension }
    if let problem = rope.problem(headDimension: head.dimension) {
      throw .invalidSetting(name: "rope", value: problem.value, requirement: problem.requirement)
    }
    return rope
  }

  func load(_ index: Int) throws -> CapturedHead {
    let (name, files) = heads[index]
    let head = try files.load(name: name, scale: scale)
    if let description {
      for (what, value, promised) in [
        ("number of tokens", head.tokenCount, description.context + description.decoded),
        ("head dimension", head.dimension, description.headDimension),
        ("group size", head.groupSize, description.groupSize),
      ] where value != promised {
        throw CaptureError.invalid(
          path: files.keys, name: what, value: "\(value)",
          requirement: "\(promised), as \(CaptureDescription.fileName) has it")
      }
    }
    return head
  }
}
