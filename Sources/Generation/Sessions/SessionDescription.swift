// What can be told about a session without its model.

public import AttentionKernels
public import Foundation
public import LlamaHost
import RetrievalAttention

/// A text in a session, by its tokens.
public struct SessionDocument: Codable, Sendable, Hashable {
  public var name: String
  public var firstToken: Int
  public var tokenCount: Int
  /// Its text; nil where that is not known, as in sessions of earlier versions.
  public var contents: Contents?

  /// The text of a document, to find it again and to know whether it has changed.
  public struct Contents: Codable, Sendable, Hashable {
    /// The file's absolute path; nil where it came from no file.
    public var path: String?
    /// Where the text begins in that of all documents, names included, in bytes of UTF-8; see ``PromptDocuments``.
    public var firstByte: Int
    public var byteCount: Int
    /// XXH64 (seed 0), 16 hexadecimal digits.
    public var hash: String

    public init(path: String?, firstByte: Int, byteCount: Int, hash: String) {
      self.path = path
      self.firstByte = firstByte
      self.byteCount = byteCount
      self.hash = hash
    }

    public var bytes: Range<Int> { firstByte..<firstByte + byteCount }
  }

  public init(name: String, firstToken: Int, tokenCount: Int, contents: Contents? = nil) {
    self.name = name
    self.firstToken = firstToken
    self.tokenCount = tokenCount
    self.contents = contents
  }

  public var tokens: Range<Int> { firstToken..<firstToken + tokenCount }
}

/// A session as its manifest describes it.
///
///     print(try SessionDescription(at: "sessions/alice").tokenCount)
public struct SessionDescription: Codable, Sendable, Hashable {
  /// Where it is.
  public var directory: String
  /// The last part of the path.
  public var name: String
  public var created: Date
  /// When it was saved last.
  public var modified: Date
  public var modelName: String
  /// Where the model was when the session was saved last.
  public var modelPath: String
  public var architecture: String
  /// How attention is computed: `retrieval` or `exact`.
  public var attention: String
  /// How keys and values are stored.
  public var format: KeyValueFormat
  /// The RoPE factors that it was begun with, for models that have two sets.
  public var ropeFactors: RopeFactors?
  /// The scaling of RoPE that it was begun with; nil for that of the model's file.
  public var ropeScaling: RopeScaling?
  /// The LoRA adapters that it was begun with, where they were when it was saved last.
  public var adapters: [LoRAAdapter]?
  /// Tokens in the context.
  public var tokenCount: Int
  /// Tokens that were to be read when reading was interrupted; 0 when all of them were.
  public var pendingTokenCount: Int
  public var documents: [SessionDocument]
  /// What the application keeps with the session.
  public var attributes: [String: String]
  /// Bytes of all files.
  public var byteCount: Int
  /// Bytes that they take on the disk: what other sessions share with this one is counted in each.
  public var diskByteCount: Int

  /// Reads a session's manifest. Cost: a small file.
  ///
  /// Throws ``SessionError/notFound(path:)``, ``SessionError/notASession(path:reason:)``,
  /// ``SessionError/damagedManifest(path:reason:)`` or ``SessionError/unsupportedVersion(path:expected:found:)``.
  public init(at directory: String) throws {
    self.init(try SessionManifest.read(directory), directory: directory)
  }

  init(_ manifest: SessionManifest, directory: String) {
    self.directory = directory
    name = URL(fileURLWithPath: directory).lastPathComponent
    created = Date(timeIntervalSince1970: manifest.created)
    modified = Date(timeIntervalSince1970: manifest.modified)
    modelName = manifest.model.name
    modelPath = manifest.model.stamps.first?.path ?? ""
    architecture = manifest.model.architecture
    attention = manifest.attention.name
    format = manifest.format ?? KeyValueFormat()
    ropeFactors = manifest.model.ropeFactors
    ropeScaling = manifest.model.ropeScaling
    adapters = manifest.model.adapters?.map { LoRAAdapter(path: $0.path, scale: $0.scale) }
    tokenCount = manifest.tokenCount
    pendingTokenCount = manifest.pendingTokenCount
    documents = manifest.documents
    attributes = manifest.attributes
    (byteCount, diskByteCount) = SessionFiles.size(directory, manifest)
  }
}
