// A file that is on its way: what has arrived, and what is known of the rest.

import Foundation
import Platform

/// `NAME.part`, and beside it what tells whether a server still has the same file.
struct PartialFile {
  /// What was said of the file when its first bytes came.
  struct Origin: Codable, Equatable {
    var address: String
    /// A strong ETag.
    var mark: String?
    var size: Int?
    var sum: String?
  }

  let path: String
  private var originPath: String { path + ".json" }

  /// Bytes that have arrived.
  var byteCount: Int {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    return (attributes?[.size] as? Int) ?? 0
  }

  var origin: Origin? {
    guard let data = FileManager.default.contents(atPath: originPath) else { return nil }
    return try? JSONDecoder().decode(Origin.self, from: data)
  }

  func write(_ origin: Origin) throws {
    do {
      try JSONEncoder().encode(origin).write(to: URL(fileURLWithPath: originPath), options: .atomic)
    } catch {
      throw DownloadError.system(path: originPath, code: Self.code(error))
    }
  }

  /// Opens it for the bytes from `start` on; what is behind is cut off.
  func open(at start: Int) throws(DownloadError) -> Writer { try Writer(path: path, at: start) }

  /// Gives it its name.
  func finish(as target: String) throws(DownloadError) {
    guard unsafe rename(path, target) == 0 else { throw .system(path: target, code: errno) }
    unsafe unlink(originPath)
  }

  func remove() {
    unsafe unlink(path)
    unsafe unlink(originPath)
  }

  /// The system's code of one of Foundation's errors.
  static func code(_ error: any Error) -> Int32 {
    let error = error as NSError
    let underlying = (error.userInfo[NSUnderlyingErrorKey] as? NSError) ?? error
    return underlying.domain == NSPOSIXErrorDomain ? Int32(underlying.code) : EIO
  }

  /// Writes to the end, and says what the system says when it cannot.
  final class Writer {
    private let path: String
    private let descriptor: Int32
    private(set) var byteCount: Int

    init(path: String, at start: Int) throws(DownloadError) {
      self.path = path
      descriptor = unsafe Platform.open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
      byteCount = start
      guard descriptor >= 0 else { throw .system(path: path, code: errno) }
      guard ftruncate(descriptor, off_t(start)) == 0, lseek(descriptor, 0, SEEK_END) == off_t(start) else {
        throw .system(path: path, code: errno)
      }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    func write(_ data: Data) throws(DownloadError) {
      var done = 0
      while done < data.count {
        let count = unsafe data.withUnsafeBytes {
          unsafe Platform.write(descriptor, $0.baseAddress.map { unsafe $0 + done }, data.count - done)
        }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw .system(path: path, code: errno) }
        done += count
      }
      byteCount += done
    }

    /// Everything is on the disk afterwards.
    func synchronize() throws(DownloadError) {
      guard fsync(descriptor) == 0 else { throw .system(path: path, code: errno) }
    }
  }
}

/// Room on a disk.
enum DiskSpace {
  /// What the file system itself needs to work well.
  private static let reserve = 16 << 20

  /// Refuses what would not fit, before the work.
  static func require(_ byteCount: Int, in folder: String) throws(DownloadError) {
    guard let free = free(in: folder), byteCount + reserve > free else { return }
    throw .noSpace(folder: folder, needed: byteCount + reserve, free: free)
  }

  private static func free(in folder: String) -> Int? {
    let attributes = try? FileManager.default.attributesOfFileSystem(forPath: folder)
    return (attributes?[.systemFreeSize] as? NSNumber)?.intValue
  }
}
