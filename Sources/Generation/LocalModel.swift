// What a model's file tells without being loaded.

import Foundation
public import LlamaHost

/// A model on this machine, by the header of its file.
///
/// Cost: milliseconds; weights are not read but for the first and last MiB, by which profiles are found.
public struct LocalModel: Sendable {
  /// Of the file; of a split model, of the first one.
  public var path: String
  /// Bytes of all its files.
  public var byteCount: Int
  /// `general.name`.
  public var title: String?
  public var architecture: String?
  /// Tokens that it was trained for.
  public var contextLength: Int?
  /// What is known of models of this architecture.
  public var support: ExpectedSupport
  /// Whether it says how messages become a text. Models that only continue texts most often do not.
  public var hasChatTemplate: Bool
  /// The profile of retrieval for the file.
  public var profile: RetrievalProfile.Known?

  /// Reads a header.
  ///
  /// Throws ``LlamaHost/GGUFError`` for a file that is no model, and
  /// ``GenerationError/unreadableFile(path:reason:)``.
  public init(path: String, profiles folder: String = RetrievalProfile.folder) throws {
    let file = try GGUFFile(validating: path)
    self.path = path
    byteCount = file.byteCount
    title = file.string("general.name")
    architecture = file.architecture
    contextLength = file.architecture.flatMap { file.integer("\($0).context_length") }
    support = file.expectedSupport
    hasChatTemplate = file.string("tokenizer.chat_template") != nil
    profile = try RetrievalProfile.known(forModel: path, folder: folder)
  }
}
