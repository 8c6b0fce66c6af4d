// Addresses of files: taken apart, joined, and shown without what is secret in them.

import Foundation

/// What is to be known of an address.
enum Address {
  /// Throws ``DownloadError/notAnAddress(_:)`` for anything but a whole address of the web.
  static func check(_ text: String) throws(DownloadError) {
    let parts = URLComponents(string: text)
    guard let scheme = parts?.scheme?.lowercased(), ["http", "https"].contains(scheme),
      parts?.host?.isEmpty == false, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
    else { throw .notAnAddress(text) }
  }

  /// The address without user, password and what follows a question mark, which may be a key.
  static func shown(_ text: String) -> String {
    guard var parts = URLComponents(string: text) else { return text }
    (parts.user, parts.password, parts.query, parts.fragment) = (nil, nil, nil, nil)
    return parts.string ?? text
  }

  /// Scheme, host and port: who sees what is sent.
  static func origin(_ text: String) -> String {
    let parts = URLComponents(string: text)
    return
      "\(parts?.scheme?.lowercased() ?? "")://\(parts?.host?.lowercased() ?? ""):\(parts?.port.map(String.init) ?? "")"
  }

  static func host(_ text: String) -> String { URLComponents(string: text)?.host ?? text }

  static func isSecure(_ text: String) -> Bool {
    URLComponents(string: text)?.scheme?.lowercased() == "https"
  }

  /// Where a reference of a page or a redirection leads.
  static func resolve(_ reference: String, against base: String) -> String? {
    guard let url = URL(string: reference, relativeTo: URL(string: base)) else { return nil }
    var parts = URLComponents(url: url.absoluteURL, resolvingAgainstBaseURL: true)
    parts?.fragment = nil
    return parts?.string
  }

  /// The address without user and password, and the header that stands for them.
  static func withoutUser(_ text: String) -> (address: String, authorization: String?) {
    guard var parts = URLComponents(string: text), let user = parts.user else { return (text, nil) }
    let token = Data("\(user):\(parts.password ?? "")".utf8).base64EncodedString()
    (parts.user, parts.password) = (nil, nil)
    return (parts.string ?? text, "Authorization: Basic \(token)")
  }

  /// A path's parts as they stand in an address.
  static func escaped(_ path: String) -> String {
    var allowed = CharacterSet.alphanumerics
    allowed.insert(charactersIn: "-._~/")
    // Letters of other scripts count as alphanumerics.
    return path.addingPercentEncoding(withAllowedCharacters: allowed.intersection(ascii)) ?? path
  }

  private static let ascii = CharacterSet(charactersIn: Unicode.Scalar(0)..<Unicode.Scalar(0x80))
}
