// Evidence heads of a model, as ra tune --evidence finds them, and those of the models that come with the program.

public import Foundation
public import LlamaHost
import Platform
public import RetrievalAttention

/// A model's evidence heads, and how they were found.
public struct EvidenceProfile: Sendable, Hashable, Codable {
  /// The form of the file; another number is not read.
  public static let currentVersion = 1

  public var version = currentVersion
  /// `general.name` of the model.
  public var model: String
  /// Weights, which tell models of one name apart.
  public var parameterCount: Int
  /// How many answers were read to find them, and which share of the best head's attention lay on the sentences that
  /// they follow from.
  public var answers: Int
  public var bestShare: Double
  public var heads: [EvidenceHeads.Entry]
  /// Log-odds of yes above which a passage answers a question, as ``PassageJudge`` asks; nil for a model that cannot
  /// tell.
  public var leastOdds: Double?

  public init(
    model: LlamaModel, answers: Int, bestShare: Double, heads: [EvidenceHeads.Entry], leastOdds: Double?
  ) {
    self.model = Self.name(of: model)
    parameterCount = model.description.parameterCount
    self.answers = answers
    self.bestShare = bestShare
    self.heads = heads
    self.leastOdds = leastOdds
  }

  /// The profile of a file, or the one of the model that comes with the program; nil without either.
  ///
  /// - Parameter path: of a profile; nil for none.
  /// - Throws: ``GenerationError/badProfile(path:reason:)``, for one of another model as well.
  public init?(of model: LlamaModel, path: String?) throws(GenerationError) {
    guard let path else {
      guard let known = Self.known.first(where: { $0.matches(model) }) else { return nil }
      self = known
      return
    }
    self = try Self(contentsOf: path)
    guard matches(model) else {
      throw .badProfile(
        path: path, reason: "it is of \(self.model) with \(parameterCount) weights, another model")
    }
  }

  private static let known: [EvidenceProfile] =
    (try? JSONDecoder().decode([EvidenceProfile].self, from: Data(PackageResources.evidence_profiles_json)))
    ?? []

  private static func name(of model: LlamaModel) -> String {
    model.description.name ?? URL(fileURLWithPath: model.description.path).lastPathComponent
  }

  /// Reads a profile.
  ///
  /// Throws ``GenerationError/badProfile(path:reason:)``.
  public init(contentsOf path: String) throws(GenerationError) {
    do {
      self = try JSONDecoder().decode(Self.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
    } catch is DecodingError {
      throw .badProfile(path: path, reason: "it is no profile that ra tune --evidence wrote")
    } catch {
      throw .badProfile(path: path, reason: failureReason(error))
    }
    guard version == Self.currentVersion else {
      throw .badProfile(
        path: path, reason: "its version is \(version), not \(Self.currentVersion); tune again")
    }
  }

  /// The profile as the text of a file.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }

  /// Whether it is of this model.
  func matches(_ model: LlamaModel) -> Bool {
    self.model == Self.name(of: model) && parameterCount == model.description.parameterCount
  }
}

extension EvidenceHeads {
  /// The heads of a profile, those of a model that the program knows, or the default ones.
  ///
  /// - Parameter path: of a profile; nil for none.
  /// - Throws: ``GenerationError/badProfile(path:reason:)`` and ``GenerationError/badEvidenceHead(layer:head:)``.
  public init(of model: LlamaModel, shape: ModelShape, profile path: String? = nil) throws(GenerationError) {
    self = try EvidenceProfile(of: model, path: path).map { EvidenceHeads($0.heads) } ?? .standard(for: shape)
    try check(for: shape)
  }
}
