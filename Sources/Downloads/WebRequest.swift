// One request to a server. curl makes it: it knows this system's certificates and proxies, and is well kept.

import Foundation
import Platform
import Synchronization

/// Asks for a file, with redirections followed here, so that what each server says of the file is seen and nobody but
/// the first one is told a key.
struct WebRequest {
  /// Of the request, such as `Range: bytes=100-`.
  var headers: [String] = []
  /// Headers for the servers of one origin alone.
  var privateHeaders: (origin: String, headers: [String])?
  /// A file or a folder with certificates that are trusted, and a proxy, in place of the system's.
  var certificates: String?
  var proxy: String?

  /// An answer; what was learned on the way to it included.
  struct Answer {
    /// Where it came from in the end.
    var address: String
    var head: ResponseHead
    /// The fields of the redirections before, where the answer itself lacks them.
    var linked: ResponseHead
    var isComplete: Bool
    /// Why it is not complete, in curl's words.
    var problem: String?
  }

  /// A connection that could not be made or broke; another attempt may succeed unless `isFinal`.
  struct Broken: Error {
    var address: String
    var reason: String
    var isFinal: Bool
  }

  private static let purpose = "fetch files from servers"
  private static let mostRedirections = 10
  /// Seconds without a byte before a connection is given up.
  private static let patience = 60

  /// Asks, and hands on the body as it comes.
  ///
  /// - Parameters:
  ///   - onHead: is told the head of the final answer before anything of the body; returns whether the body is wanted.
  /// - Throws: ``Broken``, ``DownloadError``, what the closures throw, and `CancellationError`.
  func send(
    to address: String, onHead: (Answer) throws -> Bool = { _ in true }, onBody: (Data) throws -> Void
  ) throws -> Answer {
    var (address, authorization) = Address.withoutUser(address)
    let first = Address.origin(address)
    var linked = ResponseHead()
    for _ in 0...Self.mostRedirections {
      try Address.check(address)
      var headers = headers
      if let authorization, Address.origin(address) == first { headers.append(authorization) }
      if let privateHeaders, Address.origin(address) == privateHeaders.origin {
        headers += privateHeaders.headers
      }
      var answer = try exchange(address, headers, linked, onHead, onBody)
      guard (301...308).contains(answer.head.status), answer.head.status != 304, answer.head.status != 306
      else {
        return answer
      }
      guard let next = answer.head["location"].flatMap({ Address.resolve($0, against: address) }) else {
        throw DownloadError.refused(address: address, status: answer.head.status)
      }
      guard Address.isSecure(next) || !Address.isSecure(address) else {
        throw DownloadError.insecureRedirection(from: address, to: next)
      }
      answer.head.fields.merge(linked.fields) { $1 }
      linked.fields = answer.head.fields.filter { $0.key.hasPrefix("x-") }
      if authorization == nil { (address, authorization) = Address.withoutUser(next) } else { address = next }
    }
    throw DownloadError.tooManyRedirections(address: address)
  }

  /// The same for a page, whole.
  func page(_ address: String, limit: Int = 64 << 20) throws -> (answer: Answer, body: Data) {
    var body = Data()
    let answer = try send(to: address) { piece in
      guard body.count + piece.count <= limit else {
        throw Broken(address: address, reason: "the page is too large", isFinal: true)
      }
      body.append(piece)
    }
    return (answer, body)
  }

  /// Without redirections.
  private func exchange(
    _ address: String, _ headers: [String], _ linked: ResponseHead, _ onHead: (Answer) throws -> Bool,
    _ onBody: (Data) throws -> Void
  ) throws -> Answer {
    let configuration = Mutex<Data?>(Data(configuration(address, headers).utf8))
    var reader = ResponseHeadReader()
    var answer = Answer(address: address, head: ResponseHead(), linked: linked, isComplete: false)
    var isWanted = false
    struct Unwanted: Error {}
    let ended: ChildProgram.Ended
    do {
      // Settings come from standard input: what is secret in them is in no list of processes.
      ended = try ProgramPipe.run(
        "curl", ["-q", "--config", "-"], for: Self.purpose,
        input: {
          configuration.withLock { text in
            defer { text = nil }
            return text
          }
        },
        output: { piece in
          let isFirst = reader.head == nil
          let body: Data
          do { body = try reader.take(piece) } catch {
            throw Broken(address: address, reason: "it does not answer in HTTP", isFinal: true)
          }
          if isFirst, let head = reader.head {
            answer.head = head
            if !(300...399).contains(head.status) || head.status == 304 {
              isWanted = try onHead(answer)
              if !isWanted { throw Unwanted() }
            }
          }
          if isWanted, !body.isEmpty { try onBody(body) }
        })
    } catch is Unwanted {
      return answer
    }
    let problem = Self.problem(ended)
    guard reader.head != nil else {
      throw Broken(
        address: address, reason: problem ?? "it closed the connection without an answer",
        isFinal: Self.finalProblems.contains(ended.status))
    }
    answer.isComplete = ended.status == 0
    answer.problem = problem
    return answer
  }

  /// Certificates that are not trusted, and settings that curl does not understand.
  private static let finalProblems: Set<Int32> = [1, 2, 3, 4, 35, 58, 60, 77]

  /// curl's words without its name and number.
  private static func problem(_ ended: ChildProgram.Ended) -> String? {
    guard ended.status != 0 else { return nil }
    let line = ended.errors.split(separator: "\n").first.map(String.init) ?? ""
    guard let end = line.range(of: ") ") else { return line.isEmpty ? "curl failed (\(ended.status))" : line }
    return String(line[end.upperBound...])
  }

  /// What curl is told.
  private func configuration(_ address: String, _ headers: [String]) -> String {
    func quoted(_ text: String) -> String {
      "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
    var lines = [
      "url = \(quoted(address))", "silent", "show-error", "include", "suppress-connect-headers", "globoff",
      "path-as-is", "connect-timeout = 30", "speed-limit = 1", "speed-time = \(Self.patience)",
      "proto = \"=http,https\"", "user-agent = \"ra (RetrievalAttention)\"",
    ]
    // Nobody has line ends in a header.
    lines += headers.map { "header = \(quoted($0.filter { $0 != "\r" && $0 != "\n" && $0 != "\r\n" }))" }
    if let proxy { lines.append("proxy = \(quoted(proxy))") }
    if let certificates {
      var isFolder: ObjCBool = false
      _ = unsafe FileManager.default.fileExists(atPath: certificates, isDirectory: &isFolder)
      lines.append("\(isFolder.boolValue ? "capath" : "cacert") = \(quoted(certificates))")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
