// Files, folders, patterns and standard input become texts with names.

public import Foundation
import Platform

/// Reads documents of any format.
///
///     let reader = DocumentReader()
///     let found = try reader.read(["contracts", "notes/*.md", "book.pdf"])
///     for document in found.documents { print(document.name, document.text.utf8.count) }
///
/// What is named by itself must be readable, else it is an error; what a folder or a pattern brings is skipped and told
/// where it cannot be read.
public struct DocumentReader: Sendable {
  public struct Settings: Sendable {
    /// Patterns of files in folders; none for all. Those without a slash mean names at any depth.
    public var include: [String] = []
    /// Patterns of files and folders to leave out of folders.
    public var exclude: [String] = []
    /// Whether .gitignore files count in folders.
    public var usesIgnoreFiles = true
    /// Bytes that a file, standard input, a text, and all texts together can have: a sixteenth of the machine's memory,
    /// at most 256 MiB.
    public var byteLimit = min(256 << 20, PhysicalMemory.byteCount / 16)
    /// Seconds that a converter has for a file.
    public var converterSeconds = 120.0
    /// Where converters are looked for, as PATH has it; nil for PATH itself.
    public var programFolders: String?

    public init() {}
  }

  public var settings: Settings

  public init(settings: Settings = Settings()) { self.settings = settings }

  /// Whether an argument can only mean documents: a file or folder that exists, `-`, a `file://` address, or a pattern
  /// without white space that some file matches.
  public static func isDocument(_ argument: String) -> Bool { DocumentSource.isNamed(by: argument) }

  /// Reads what is named: paths of files and folders, patterns, `file://` addresses, and `-` for standard input.
  ///
  /// A file that is named twice, also by a folder, is read once. Files of the same name are called by the paths that
  /// were given.
  ///
  /// - Throws: ``DocumentError``; `CancellationError` when the task is cancelled.
  public func read(_ arguments: [String]) throws -> DocumentCollection {
    var pass = Pass(
      settings: settings, include: try settings.include.map(FolderWalk.pattern),
      exclude: try settings.exclude.map(FolderWalk.pattern))
    for argument in arguments { try pass.take(argument) }
    return pass.result()
  }

  /// The document in a file's bytes, whose format the name tells if they do not.
  ///
  /// Throws ``DocumentError``.
  public func document(named name: String, data: Data) throws -> Document {
    try FileReading(settings: settings).document(data, name: name, path: nil).document
  }

  /// One run over what was named.
  private struct Pass {
    let settings: Settings
    let include: [GlobPattern]
    let exclude: [GlobPattern]
    var documents: [Document] = []
    var notes: [String] = []
    /// Given paths of documents, for those whose names are not enough.
    var given: [String] = []
    var seen: Set<String> = []
    var byteCount = 0

    init(settings: Settings, include: [GlobPattern], exclude: [GlobPattern]) {
      self.settings = settings
      self.include = include
      self.exclude = exclude
    }

    mutating func take(_ argument: String) throws {
      switch try DocumentSource(argument) {
      case .standardInput:
        guard seen.insert("-").inserted else { return }
        try add(try FileReading(settings: settings).standardInput(), given: "standard input")
      case .file(let path):
        guard seen.insert(path).inserted else { return }
        let name = (path as NSString).lastPathComponent
        try add(try FileReading(settings: settings).file(path, name: name, shown: argument), given: argument)
      case .folder(let path, let pattern):
        try takeFolder(path, pattern, argument)
      }
    }

    private mutating func takeFolder(_ path: String, _ pattern: GlobPattern?, _ argument: String) throws {
      var walk = FolderWalk(include: include, exclude: exclude, usesIgnoreFiles: settings.usesIgnoreFiles)
      try walk.walk(path)
      var skipped = SkippedFiles()
      if walk.linkCount > 0 { skipped.links = walk.linkCount }
      for folder in walk.unreadable { skipped.add("unreadable folders", folder) }
      var count = 0
      for file in walk.files where pattern.map({ $0.matches(file.names) }) ?? true {
        try Task.checkCancellation()
        guard !seen.contains(file.path) else {
          count += 1
          continue
        }
        let name = file.names.joined(separator: "/")
        let given = Self.joined(argument, pattern, path, name)
        do {
          try add(
            try FileReading(settings: settings).file(file.path, name: name, shown: given),
            given: given)
          seen.insert(file.path)
          count += 1
        } catch let error as DocumentError {
          guard let kind = SkippedFiles.kind(of: error) else { throw error }
          skipped.add(kind, name)
        }
      }
      guard count > 0 else {
        throw DocumentError.nothingFound(path: argument, skipped: skipped.description)
      }
      if let text = skipped.description { notes.append("\(argument): skipped \(text)") }
    }

    private static func joined(_ argument: String, _ pattern: GlobPattern?, _ path: String, _ name: String)
      -> String
    {
      let folder = pattern == nil ? argument : path
      return folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
    }

    private mutating func add(_ read: FileReading.Result, given: String) throws {
      byteCount += read.document.text.utf8.count
      guard byteCount <= settings.byteLimit else {
        throw DocumentError.tooMuchText(limit: settings.byteLimit)
      }
      documents.append(read.document)
      self.given.append(given)
      notes += read.notes
    }

    func result() -> DocumentCollection {
      let counts = Dictionary(grouping: documents, by: \.name).mapValues(\.count)
      var documents = documents
      for index in documents.indices where counts[documents[index].name] ?? 1 > 1 {
        documents[index].name = Document.shown(given[index])
      }
      return DocumentCollection(documents: documents, notes: notes)
    }
  }
}
