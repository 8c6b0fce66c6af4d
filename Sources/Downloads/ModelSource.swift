// What people write to say which model they want.

import Foundation

/// Where a model is to come from.
package enum ModelSource: Sendable, Equatable {
  case packaged(PackagedModel)
  /// A file of a repository of Hugging Face, `main` or another revision of it.
  case huggingFace(repository: String, file: String, revision: String)
  case address(String)

  /// From a short name, `hf:OWNER/REPOSITORY[@REVISION]/FILE` or an address.
  package init(parsing text: String) throws(DownloadError) {
    if text.hasPrefix("hf:") {
      guard
        let match = text.wholeMatch(of: #/hf:([\w.\-]+/[\w.\-]+)(?:@([\w.\-]+))?/([^?#]+)/#),
        !match.3.split(separator: "/", omittingEmptySubsequences: false).contains(where: {
          ["", ".", ".."].contains($0)
        })
      else { throw .unknownModel(text, known: ModelCatalog.models.map(\.name)) }
      self = .huggingFace(
        repository: String(match.1), file: String(match.3), revision: match.2.map(String.init) ?? "main")
    } else if text.contains("://") {
      try Address.check(text)
      self = .address(text)
    } else if let model = ModelCatalog.model(named: text) {
      self = .packaged(model)
    } else {
      throw .unknownModel(text, known: ModelCatalog.models.map(\.name))
    }
  }

  /// The name that the file would have here.
  package var fileName: String {
    switch self {
    case .packaged(let model): model.file
    case .huggingFace(_, let file, _): String(file.split(separator: "/").last ?? "")
    case .address(let address): String(URLComponents(string: address)?.path.split(separator: "/").last ?? "")
    }
  }

  /// Whether a name is one of a model's file that is found again later.
  package static func isFileName(_ name: String) -> Bool {
    name.lowercased().hasSuffix(".gguf") && name.count > 5 && !name.hasPrefix(".")
      && !name.contains { $0 == "/" || $0 == "\0" || $0.isNewline } && name.utf8.count <= 200
  }

  /// The same for another part of a split model.
  func part(_ shard: ShardName, _ number: Int) -> ModelSource {
    let (old, new) = (fileName, shard.name(number))
    func replaced(_ text: String) -> String {
      guard let place = text.range(of: old, options: .backwards) else { return text }
      return text.replacingCharacters(in: place, with: new)
    }
    return switch self {
    case .packaged: self
    case .huggingFace(let repository, let file, let revision):
      .huggingFace(repository: repository, file: replaced(file), revision: revision)
    case .address(let address): .address(replaced(address))
    }
  }
}
