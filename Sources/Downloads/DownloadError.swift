// What can go wrong on the way from a server to a file.

import Platform

/// Why something did not come here. What has arrived is kept unless the error says otherwise.
package enum DownloadError: Error, Equatable, CustomStringConvertible {
  /// A program that does a part of the work is not there.
  case noProgram(name: String, purpose: String)
  /// The server's answer, other than what was asked for.
  case refused(address: String, status: Int)
  /// Nothing came, several times in a row; the last reason.
  case unreachable(address: String, reason: String)
  /// More redirections than anybody means.
  case tooManyRedirections(address: String)
  case notAnAddress(String)
  /// An address that a redirection of a secure one must not lead to.
  case insecureRedirection(from: String, to: String)
  /// A file has another sum; it was deleted.
  case otherContents(name: String, expected: String, found: String, byteCount: Int)
  /// A file has another size than was said; it was deleted.
  case otherSize(name: String, expected: Int, found: Int)
  /// No model: it does not begin as one, and was deleted.
  case notAModel(name: String, address: String)
  /// Another process fetches the same.
  case busy(name: String, lock: String)
  case noSpace(folder: String, needed: Int, free: Int)
  /// The file is there, and is another one.
  case exists(path: String)
  /// A system call failed; `code` is its `errno`.
  case system(path: String, code: Int32)
  /// No name of a model here, and not an address.
  case unknownModel(String, known: [String])
  /// What is to be a file's name here.
  case badName(String)
  /// One sum for a model in several files.
  case sumOfParts(count: Int)
  /// A sum for a model whose sum is known, and another one.
  case otherPin(name: String, pinned: String, given: String)
  /// A package without the file that a model needs.
  case notInIndex(package: String, file: String, hosts: [String])
  /// A file of a package that is not what it should be; a clause with the reason.
  case badPackage(file: String, reason: String)

  package var description: String {
    switch self {
    case .noProgram(let name, let purpose):
      "\(name) is needed to \(purpose), and is not installed ('apt install \(name)' or the like)"
    case .refused(let address, let status):
      "\(Address.shown(address)): the server answers \(status)\(Self.meaning(status))"
    case .unreachable(let address, let reason):
      "\(Address.shown(address)): \(reason); what has arrived is kept, and the same command goes on from there. Check the "
        + "network and the proxy (HTTPS_PROXY)"
    case .tooManyRedirections(let address): "\(Address.shown(address)) leads from one address to the next"
    case .notAnAddress(let text): "'\(text)' is not an address: it must begin with https:// or http://"
    case .insecureRedirection(let from, let to):
      "\(Address.shown(from)) leads to \(Address.shown(to)), which is not secure"
    case .otherContents(let name, let expected, let found, let byteCount):
      "\(name) has the SHA-256 \(found) (\(byteCount) bytes) where \(expected) is expected; it was deleted, and the same "
        + "command downloads it anew"
    case .otherSize(let name, let expected, let found):
      "\(name) has \(found) bytes where the server had said \(expected); it was deleted, and the same command downloads "
        + "it anew"
    case .notAModel(let name, let address):
      "\(name) from \(Address.shown(address)) is no model in the GGUF format; it was deleted"
    case .busy(let name, let lock):
      "\(name) is being fetched by another process (it holds \(lock)); wait for that"
    case .noSpace(let folder, let needed, let free):
      "\(folder) needs \(needed / 1_000_000) MB more, and \(free / 1_000_000) MB are free there"
    case .exists(let path):
      "\(path) is there, and is another file; --force puts the new one in its place, --name gives that another name"
    case .system(let path, let code): "\(path): \(systemMessage(code))"
    case .unknownModel(let name, let known):
      "there is no model '\(name)'; the names are \(known.joined(separator: ", ")), and hf:OWNER/REPOSITORY/FILE and "
        + "https:// addresses do as well"
    case .badName(let name):
      "'\(name)' is no name for a model's file, which ends in .gguf and has no '/'; --name gives another one"
    case .sumOfParts(let count):
      "the model is in \(count) files, for which one SHA-256 is not enough; fetch them one by one, each with --name"
    case .otherPin(let name, let pinned, let given):
      "\(name) has the SHA-256 \(pinned), not \(given)"
    case .notInIndex(let package, let file, let hosts):
      "the package index \(hosts.joined(separator: " and ")) has no file \(file) of the package \(package): it may hold "
        + "only some packages, or the file may have been withdrawn"
    case .badPackage(let file, let reason): "\(file) cannot be used: \(reason)"
    }
  }

  private static func meaning(_ status: Int) -> String {
    switch status {
    case 401, 403: " (not allowed; for files of Hugging Face that need permission, HF_TOKEN is sent)"
    case 404, 410: " (there is no such file)"
    case 429: " (too many requests; try again later)"
    default: ""
    }
  }
}
