// Settings of retrieval that were tuned for a model, kept in a small JSON file.

public import Foundation
import Platform
public import RetrievalAttention

/// First and last tokens that are always attended to and a tolerance for each layer, with what they were found on and
/// what they gave there.
public struct RetrievalProfile: Sendable, Hashable, Codable {
  /// The form of the file; another number is not read.
  public static let currentVersion = 2

  /// KL and bytes on one text, with the profile and with the settings it started from.
  public struct Outcome: Sendable, Hashable, Codable {
    /// File name of the text.
    public var text: String
    /// Tokens read, and decoded behind them.
    public var context: Int
    public var tokens: Int
    /// KL(exact || retrieval) in nats and bytes read a token, all layers alike.
    public var uniformKL: Double
    public var uniformBytes: Double
    /// The same with the profile.
    public var profileKL: Double
    public var profileBytes: Double
    /// Bytes a token at which all layers alike give the profile's KL, by interpolation between tolerances that were
    /// measured; nil outside of them.
    public var uniformBytesAtProfileKL: Double?

    public init(
      text: String, context: Int, tokens: Int, uniformKL: Double, uniformBytes: Double, profileKL: Double,
      profileBytes: Double, uniformBytesAtProfileKL: Double?
    ) {
      self.text = text
      self.context = context
      self.tokens = tokens
      self.uniformKL = uniformKL
      self.uniformBytes = uniformBytes
      self.profileKL = profileKL
      self.profileBytes = profileBytes
      self.uniformBytesAtProfileKL = uniformBytesAtProfileKL
    }
  }

  public var version = currentVersion
  /// The model in words.
  public var model: String
  /// The model's file, as ``ModelFingerprint`` tells files apart; nil where it is not known.
  public var fingerprint: String?
  /// ``RetrievalAttention/RetrievalSettings/sinkCount``.
  public var sinkCount: Int
  /// ``RetrievalAttention/RetrievalSettings/windowCount``.
  public var windowCount: Int
  /// ``VectorIndex/ClusterIndex/SearchParameters/tolerance`` of each layer.
  public var layerTolerances: [Float]
  /// The KL that was aimed at.
  public var targetKL: Double
  public var calibration: Outcome
  /// On a text that nothing was tuned on; nil when none was given.
  public var validation: Outcome?

  public init(
    model: String, sinkCount: Int, windowCount: Int, layerTolerances: [Float], targetKL: Double,
    calibration: Outcome, validation: Outcome?
  ) {
    self.model = model
    self.sinkCount = sinkCount
    self.windowCount = windowCount
    self.layerTolerances = layerTolerances
    self.targetKL = targetKL
    self.calibration = calibration
    self.validation = validation
  }

  /// Reads a profile.
  ///
  /// Throws ``GenerationError/badProfile(path:reason:)``.
  public init(contentsOf path: String) throws(GenerationError) {
    struct Header: Decodable { var version: Int }
    do {
      let data = try Data(contentsOf: URL(fileURLWithPath: path))
      // Other versions have other members.
      let version = try JSONDecoder().decode(Header.self, from: data).version
      guard version == Self.currentVersion else {
        throw GenerationError.badProfile(
          path: path, reason: "its version is \(version), not \(Self.currentVersion); tune again")
      }
      self = try JSONDecoder().decode(Self.self, from: data)
    } catch let error as GenerationError {
      throw error
    } catch is DecodingError {
      throw .badProfile(path: path, reason: "it is no profile that ra tune wrote")
    } catch {
      throw .badProfile(path: path, reason: failureReason(error))
    }
    guard !layerTolerances.isEmpty, layerTolerances.allSatisfy({ $0 >= 0 && $0.isFinite }) else {
      throw .badProfile(path: path, reason: "a tolerance is missing or negative")
    }
    guard (0...Int(UInt32.max)).contains(sinkCount), (1...Int(UInt32.max)).contains(windowCount) else {
      throw .badProfile(path: path, reason: "sink \(sinkCount) or window \(windowCount) is out of range")
    }
  }

  /// The profile as the text of a file.
  public func json() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(self) + Data("\n".utf8)
  }

  /// `settings` with the profile's sink, window and tolerances.
  public func applied(to settings: RetrievalSettings) -> RetrievalSettings {
    var settings = settings
    settings.sinkCount = sinkCount
    settings.windowCount = windowCount
    settings.layerTolerances = layerTolerances
    return settings
  }
}
