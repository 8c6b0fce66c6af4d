// What a folder of captured keys, values and queries contains, and how its files are called.

import Evaluation
import Foundation
package import RetrievalAttention

/// The contents of `capture.json`, which describes the vectors of some attention layers on a text.
///
/// Beside it, for each captured layer L and KV head H, stand `.npy` files of f16:
/// - `layerL.headH.keys.npy`, `layerL.headH.values.npy`: `[context + decoded, headDimension]`, row i from position i
/// - `layerL.headH.queries.npy`: `[groupSize, queries, headDimension]`, of decode steps, after rotary embedding,
///   not multiplied by the scale
/// - `layerL.headH.trainingQueries.npy`: `[groupSize, trainingQueries, headDimension]`, of the context, the same way
///
/// and for all of them, of i32, `queryPositions.npy` `[queries]` and `trainingPositions.npy` `[trainingQueries]`.
package struct CaptureDescription: Sendable, Hashable, Codable {
  /// Version of this layout.
  package var format = CaptureDescription.currentFormat
  /// The model's file name.
  package var model: String
  /// The text's file name.
  package var text: String
  /// Tokens read before the first decode step.
  package var context: Int
  /// Tokens decoded after them.
  package var decoded: Int
  package var headDimension: Int
  /// Query heads that share a KV head.
  package var groupSize: Int
  package var kvHeadCount: Int
  /// What dot products are multiplied by.
  package var scale: Float
  package var rope: CaptureRope
  /// Numbers of the captured layers.
  package var layers: [Int]

  package static let currentFormat = 1
  package static let fileName = "capture.json"
  package static let queryPositionsName = "queryPositions.npy"
  package static let trainingPositionsName = "trainingPositions.npy"

  /// What all captured layers have in common.
  package struct Heads {
    package var dimension: Int
    /// Query heads that share a KV head.
    package var groupSize: Int
    package var kvHeadCount: Int
    /// What dot products are multiplied by.
    package var scale: Float
    package var rope: CaptureRope

    package init(dimension: Int, groupSize: Int, kvHeadCount: Int, scale: Float, rope: CaptureRope) {
      self.dimension = dimension
      self.groupSize = groupSize
      self.kvHeadCount = kvHeadCount
      self.scale = scale
      self.rope = rope
    }
  }

  package init(model: String, text: String, context: Int, decoded: Int, heads: Heads, layers: [Int]) {
    self.model = model
    self.text = text
    self.context = context
    self.decoded = decoded
    headDimension = heads.dimension
    groupSize = heads.groupSize
    kvHeadCount = heads.kvHeadCount
    scale = heads.scale
    rope = heads.rope
    self.layers = layers
  }

  /// The files of one KV head.
  package enum HeadFile: String, CaseIterable, Sendable {
    case keys, values, queries, trainingQueries
  }

  /// The name of a file of a KV head.
  package static func fileName(layer: Int, head: Int, _ file: HeadFile) -> String {
    "layer\(layer).head\(head).\(file.rawValue).npy"
  }

  /// Reads and checks `capture.json` in a folder.
  ///
  /// Throws ``CaptureError``.
  package init(directory: String) throws {
    let path = Self.path(directory)
    let data: Data
    do { data = try Data(contentsOf: URL(fileURLWithPath: path)) } catch {
      throw CaptureError.unreadable(path: path, reason: error.localizedDescription)
    }
    do { self = try JSONDecoder().decode(Self.self, from: data) } catch {
      throw CaptureError.malformed(path: path, reason: "\(error)")
    }
    try check(path: path)
  }

  /// Writes `capture.json` into a folder: last of all files, so that a folder that has it is complete.
  package func write(directory: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    try encoder.encode(self).write(to: URL(fileURLWithPath: Self.path(directory)), options: .atomic)
  }

  private static func path(_ directory: String) -> String {
    URL(fileURLWithPath: directory).appendingPathComponent(fileName).path
  }

  private func check(path: String) throws(CaptureError) {
    func require(_ name: String, _ value: Int, in range: ClosedRange<Int>) throws(CaptureError) {
      guard range.contains(value) else {
        throw .invalid(path: path, name: name, value: "\(value)", requirement: "in \(range)")
      }
    }
    guard format == Self.currentFormat else {
      throw .invalid(path: path, name: "format", value: "\(format)", requirement: "\(Self.currentFormat)")
    }
    let most = TokenCounts.maximum
    try require("context", context, in: 1...most)
    try require("decoded", decoded, in: 1...most)
    try require("headDimension", headDimension, in: 1...65536)
    try require("groupSize", groupSize, in: 1...65536)
    try require("kvHeadCount", kvHeadCount, in: 1...65536)
    guard scale.isFinite, scale > 0 else {
      throw .invalid(path: path, name: "scale", value: "\(scale)", requirement: "positive")
    }
    if let problem = rope.problem(headDimension: headDimension) {
      throw .invalid(path: path, name: "rope", value: problem.value, requirement: problem.requirement)
    }
    guard !layers.isEmpty, Set(layers).count == layers.count, layers.allSatisfy({ $0 >= 0 }) else {
      throw .invalid(path: path, name: "layers", value: "\(layers)", requirement: "distinct layer numbers")
    }
  }
}

/// How keys and queries of a capture were rotated (arXiv 2104.09864).
package struct CaptureRope: Sendable, Hashable, Codable {
  package enum Layout: String, Sendable, Codable, CaseIterable {
    /// Not rotated, or not known how: queries stay where they are.
    case none
    /// Dimensions 2i and 2i + 1 are a pair.
    case adjacent
    /// Dimensions i and i + dimensions / 2 are a pair.
    case half
  }

  package var layout: Layout
  package var base: Double
  /// Rotated elements of a head: the first so many.
  package var dimensions: Int
  /// What positions are multiplied by; 1 for a model without scaling.
  package var frequencyScale: Double
  /// Radians a position, `[dimensions / 2]`, for models whose frequencies do not follow from base and scale; these
  /// count when they are there.
  package var inverseFrequencies: [Float]?

  package static let none = CaptureRope(layout: .none, base: 10_000, dimensions: 0)

  package init(
    layout: Layout, base: Double, dimensions: Int, frequencyScale: Double = 1,
    inverseFrequencies: [Float]? = nil
  ) {
    self.layout = layout
    self.base = base
    self.dimensions = dimensions
    self.frequencyScale = frequencyScale
    self.inverseFrequencies = inverseFrequencies
  }

  /// Nil without rotation.
  package var rotary: RotaryEmbedding? {
    guard layout != .none else { return nil }
    let frequencies =
      inverseFrequencies
      ?? (0..<dimensions / 2).map { Float(frequencyScale * pow(base, -2 * Double($0) / Double(dimensions))) }
    return RotaryEmbedding(
      layout: layout == .adjacent ? .adjacentPairs : .rotateHalf, inverseFrequencies: frequencies)
  }

  /// What is wrong with it for heads of a width.
  func problem(headDimension: Int) -> (value: String, requirement: String)? {
    guard layout != .none else { return nil }
    guard dimensions > 0, dimensions % 2 == 0, dimensions <= headDimension else {
      return ("dimensions \(dimensions)", "even, in 2...\(headDimension)")
    }
    guard base.isFinite, base > 0 else { return ("base \(base)", "positive") }
    guard frequencyScale.isFinite, frequencyScale > 0 else {
      return ("frequencyScale \(frequencyScale)", "positive")
    }
    if let inverseFrequencies, inverseFrequencies.count != dimensions / 2 {
      return ("\(inverseFrequencies.count) frequencies", "\(dimensions / 2) of them")
    }
    return nil
  }
}

/// Why a capture cannot be used. Errors of its arrays are ``NumpyFile/NumpyError``.
package enum CaptureError: Error, Equatable, Sendable, CustomStringConvertible {
  case unreadable(path: String, reason: String)
  case malformed(path: String, reason: String)
  case invalid(path: String, name: String, value: String, requirement: String)

  package var description: String {
    switch self {
    case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
    case .malformed(let path, let reason): "\(path) is no description of a capture: \(reason)"
    case .invalid(let path, let name, let value, let requirement):
      "\(path): \(name) is \(value), but must be \(requirement)"
    }
  }
}
