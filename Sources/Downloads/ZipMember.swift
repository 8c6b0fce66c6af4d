// A file inside a zip file, such as a wheel, without unpacking the others.

import Foundation
import Platform

/// Where a member's bytes are (APPNOTE.TXT 6.3, without its extensions for 4 GiB and more, which no wheel needs).
struct ZipMember: Equatable {
  enum Method: UInt16 {
    case stored = 0
    case deflated = 8
  }

  var method: Method
  var checksum: UInt32
  var storedCount: Int
  var byteCount: Int
  /// Of its bytes, in the zip file.
  var offset: Int

  private struct Problem: Error { var reason: String }
  private static let largestComment = 1 << 16
  private static let largestDirectory = 1 << 26

  /// Finds a member by its whole name.
  ///
  /// Throws ``DownloadError/badPackage(file:reason:)``.
  init(named name: String, in path: String) throws(DownloadError) {
    let file = URL(fileURLWithPath: path).lastPathComponent
    do {
      let handle = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
      defer { try? handle.close() }
      self = try Self.find(name, handle)
    } catch let problem as Problem {
      throw .badPackage(file: file, reason: problem.reason)
    } catch {
      throw .badPackage(file: file, reason: failureReason(error))
    }
  }

  private init(method: Method, checksum: UInt32, storedCount: Int, byteCount: Int, offset: Int) {
    (self.method, self.checksum, self.storedCount, self.byteCount, self.offset) =
      (method, checksum, storedCount, byteCount, offset)
  }

  private static func find(_ name: String, _ handle: FileHandle) throws -> ZipMember {
    let size = Int(try handle.seekToEnd())
    func bytes(at offset: Int, _ count: Int) throws -> [UInt8] {
      guard offset >= 0, count >= 0, offset <= size, count <= size - offset else {
        throw Problem(reason: "a part of it lies behind its end")
      }
      try handle.seek(toOffset: UInt64(offset))
      let data = count == 0 ? Data() : try handle.read(upToCount: count) ?? Data()
      guard data.count == count else { throw Problem(reason: "it ends too early") }
      return Array(data)
    }
    // The end of the directory is the last record, with a comment behind it.
    let tail = try bytes(at: max(0, size - largestComment - 22), min(size, largestComment + 22))
    guard tail.count >= 22,
      let end = (0...tail.count - 22).last(where: { number(tail, $0, 4) == 0x0605_4b50 })
    else { throw Problem(reason: "it is no zip file") }
    let (count, length, start) = (
      number(tail, end + 10, 2), number(tail, end + 12, 4), number(tail, end + 16, 4)
    )
    guard length <= largestDirectory else { throw Problem(reason: "its directory is too large") }
    let directory = try bytes(at: start, length)
    var place = 0
    for _ in 0..<count {
      guard place + 46 <= directory.count, number(directory, place, 4) == 0x0201_4b50 else {
        throw Problem(reason: "its directory is damaged")
      }
      let nameCount = number(directory, place + 28, 2)
      let next =
        place + 46 + nameCount + number(directory, place + 30, 2) + number(directory, place + 32, 2)
      guard next <= directory.count else { throw Problem(reason: "its directory is damaged") }
      defer { place = next }
      guard directory[(place + 46)..<(place + 46 + nameCount)].elementsEqual(name.utf8) else { continue }
      guard number(directory, place + 8, 2) & 1 == 0 else { throw Problem(reason: "\(name) is encrypted") }
      guard let method = Method(rawValue: UInt16(number(directory, place + 10, 2))) else {
        throw Problem(reason: "\(name) is packed in a way that is not known here")
      }
      let header = number(directory, place + 42, 4)
      // Its own header may have other extra fields than the directory's.
      let local = try bytes(at: header, 30)
      guard number(local, 0, 4) == 0x0403_4b50 else {
        throw Problem(reason: "\(name) is not where it should be")
      }
      let member = ZipMember(
        method: method, checksum: UInt32(number(directory, place + 16, 4)),
        storedCount: number(directory, place + 20, 4), byteCount: number(directory, place + 24, 4),
        offset: header + 30 + number(local, 26, 2) + number(local, 28, 2))
      guard member.offset + member.storedCount <= size else {
        throw Problem(reason: "a part of it lies behind its end")
      }
      guard method == .deflated || member.storedCount == member.byteCount else {
        throw Problem(reason: "\(name) has two sizes")
      }
      return member
    }
    throw Problem(reason: "it has no \(name)")
  }

  /// A number of so many bytes, the lowest first.
  private static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> Int {
    (0..<count).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
  }
}
