// Wheels as Python packages are: zip files, deflated by gzip, which makes the same streams.

import Foundation
import Platform

@testable import Downloads

enum TestWheel {
  /// A zip file with members; CRC-32 and stream are taken from what gzip writes.
  static func build(_ members: [(name: String, body: Data)], deflated: Bool = true) throws -> Data {
    var (file, directory) = (Data(), Data())
    for (name, body) in members {
      let (stream, checksum) = try deflate(body)
      let stored = deflated ? stream : body
      func fields(_ isCentral: Bool) -> Data {
        number(20, 2) + number(0, 2) + number(deflated ? 8 : 0, 2) + number(0, 4) + checksum
          + number(stored.count, 4) + number(body.count, 4) + number(name.utf8.count, 2)
          + number(isCentral ? 0 : 4, 2)
      }
      directory += number(0x0201_4b50, 4) + number(20, 2) + fields(true)
      directory += number(0, 2) + number(0, 2) + number(0, 2) + number(0, 4) + number(file.count, 4)
      directory += Data(name.utf8)
      // An extra field that the directory does not have.
      file += number(0x0403_4b50, 4) + fields(false) + Data(name.utf8) + number(0xcafe, 2) + number(0, 2)
      file += stored
    }
    let end =
      number(0x0605_4b50, 4) + number(0, 4) + number(members.count, 2) + number(members.count, 2)
      + number(directory.count, 4) + number(file.count, 4) + number(7, 2) + Data("comment".utf8)
    return file + directory + end
  }

  private static func deflate(_ body: Data) throws -> (stream: Data, checksum: Data) {
    var gzip = Data()
    let pieces = Once(body)
    _ = try ProgramPipe.run("gzip", ["-nc"], for: "test", input: { pieces.next() }, output: { gzip += $0 })
    return (Data(gzip.dropFirst(10).dropLast(8)), Data(gzip.suffix(8).prefix(4)))
  }

  /// `@unchecked`: one thread asks.
  private final class Once: @unchecked Sendable {
    private var data: Data?
    init(_ data: Data) { self.data = data }
    func next() -> Data? {
      defer { data = nil }
      return data
    }
  }

  private static func number(_ value: Int, _ count: Int) -> Data {
    Data((0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) })
  }

  static func sum(_ data: Data) -> String {
    var sum = SHA256()
    data.withUnsafeBytes { sum.update($0) }
    return sum.hexadecimal
  }
}
