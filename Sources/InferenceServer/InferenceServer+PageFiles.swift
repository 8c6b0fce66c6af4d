// The page's files, which are part of the program.

import HTTPTypes
import Hummingbird
import NIOCore
import Platform

/// One of the files of the page.
struct PageFile: Sendable {
  let type: String
  let content: ByteBuffer
  let tag: String

  init(_ name: String, _ bytes: [UInt8]) {
    let types = ["html": "text/html", "css": "text/css", "js": "text/javascript", "mjs": "text/javascript"]
    let ending = name.split(separator: ".").last.map(String.init) ?? ""
    type = "\(types[ending] ?? "text/plain"); charset=utf-8"
    content = ByteBuffer(bytes: bytes)
    // Browsers ask with it whether a file is still the same; programs of two versions differ in it.
    let sum = unsafe bytes.withUnsafeBytes { unsafe CRC32C.checksum(of: $0) }
    tag = "\"\(String(sum, radix: 16))-\(bytes.count)\""
  }

  /// By their paths below `page/`.
  static let all: [String: PageFile] = {
    let files: [(String, [UInt8])] = [
      ("index.html", PackageResources.index_html),
      ("base.css", PackageResources.base_css),
      ("chat.css", PackageResources.chat_css),
      ("theme.js", PackageResources.theme_js),
      ("answer.mjs", PackageResources.answer_mjs),
      ("api.mjs", PackageResources.api_mjs),
      ("app.mjs", PackageResources.app_mjs),
      ("chat.mjs", PackageResources.chat_mjs),
      ("conversations.mjs", PackageResources.conversations_mjs),
      ("documents.mjs", PackageResources.documents_mjs),
      ("dom.mjs", PackageResources.dom_mjs),
      ("layout.mjs", PackageResources.layout_mjs),
      ("log.mjs", PackageResources.log_mjs),
      ("markdown.mjs", PackageResources.markdown_mjs),
      ("pane.mjs", PackageResources.pane_mjs),
      ("passages.mjs", PackageResources.passages_mjs),
      ("repetition.mjs", PackageResources.repetition_mjs),
      ("settings-dialog.mjs", PackageResources.settings_dialog_mjs),
      ("settings.mjs", PackageResources.settings_mjs),
      ("sidebar.mjs", PackageResources.sidebar_mjs),
      ("store.mjs", PackageResources.store_mjs),
      ("timeleft.mjs", PackageResources.timeleft_mjs),
      ("view.mjs", PackageResources.view_mjs),
      ("vendor/dompurify.mjs", PackageResources.dompurify_mjs),
      ("vendor/marked.mjs", PackageResources.marked_mjs),
      ("licences.txt", PackageResources.licences_txt),
    ]
    return Dictionary(uniqueKeysWithValues: files.map { ($0.0, PageFile($0.0, $0.1)) })
  }()
}

extension InferenceServer {
  /// What the page may do: run its own files and ask this server. Nothing comes from elsewhere, no markup of an answer
  /// runs, and a text becomes markup only through the library that cleans it.
  private static let pagePolicy = """
    default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify
    """

  /// One of the page's files.
  ///
  /// - Parameter path: below `page/`.
  /// - Throws: 404 for a path that is none of them.
  static func page(_ path: String, for request: Request) throws -> Response {
    guard let file = PageFile.all[path] else {
      throw APIError(.notFound, "The page has no file '\(path.prefix(100))'.", code: "not_found")
    }
    var headers: HTTPFields = [
      .contentType: file.type, .contentSecurityPolicy: pagePolicy, .xContentTypeOptions: "nosniff",
      .cacheControl: "no-cache", .eTag: file.tag, HTTPField.Name("Referrer-Policy")!: "no-referrer",
    ]
    let known = request.headers[.ifNoneMatch]?.split(separator: ",").map { $0.trimmingSpaces() } ?? []
    if known.contains("*") || known.contains(where: { $0 == file.tag || $0 == "W/\(file.tag)" }) {
      headers[.contentType] = nil
      return Response(status: .notModified, headers: headers)
    }
    return Response(status: .ok, headers: headers, body: .init(byteBuffer: file.content))
  }
}

extension Substring {
  fileprivate func trimmingSpaces() -> Substring {
    drop { $0 == " " }.prefix { $0 != " " }
  }
}
