// A file of results that survives being killed: one line a result, written and flushed as it comes.

import Foundation
import Platform

/// What can be wrong with a result file.
public enum ResultFileError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The system's words.
  case unreadable(path: String, reason: String)
  /// The system's words.
  case unwritable(path: String, reason: String)
  /// A line, counted from 1, that no evaluation wrote.
  case notResults(path: String, line: Int)
  /// Results of other settings than those that are to go on.
  case otherSettings(path: String)

  /// A clause without a full stop.
  public var description: String {
    switch self {
    case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
    case .unwritable(let path, let reason): "cannot write \(path): \(reason)"
    case .notResults(let path, let line): "line \(line) of \(path) is no result of an evaluation"
    case .otherSettings(let path):
      """
      \(path) has results of another model, filler, seed or way of asking, which cannot stand beside new ones; name \
      another folder, or remove the file
      """
    }
  }
}

/// Appends results to a file, and takes up a file that an earlier run left.
package final class ResultFile {
  package private(set) var results: EvaluationResults
  private var known: Set<EvaluationKey> = []
  private let path: String
  private let handle: FileHandle
  private let encoder = ResultFile.makeEncoder()

  static func makeEncoder() -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return encoder
  }

  private static func makeDecoder() -> JSONDecoder {
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    return decoder
  }

  /// Opens `path`, which is made with `header` when there is none.
  ///
  /// A last line that was not written to its end is cut off. Throws ``ResultFileError``; the file is unchanged then.
  package init(path: String, header: EvaluationHeader) throws {
    self.path = path
    var isNew = true
    var end: UInt64 = 0
    results = EvaluationResults(header: header)
    if FileManager.default.fileExists(atPath: path) {
      let (old, length) = try Self.read(path)
      if let old {
        guard old.header.fingerprint == header.fingerprint else {
          throw ResultFileError.otherSettings(path: path)
        }
        results = old
        isNew = false
      }
      end = UInt64(length)
    } else {
      guard FileManager.default.createFile(atPath: path, contents: nil) else {
        throw ResultFileError.unwritable(path: path, reason: "the file cannot be made")
      }
    }
    guard let handle = FileHandle(forUpdatingAtPath: path) else {
      throw ResultFileError.unwritable(path: path, reason: "the file cannot be opened for writing")
    }
    self.handle = handle
    try Self.writing(path) {
      try handle.truncate(atOffset: end)
      try handle.seek(toOffset: end)
    }
    known = Set(results.answers.map(\.key) + results.fidelity.map(\.key))
    if isNew { try write(.header(header)) }
  }

  deinit { try? handle.close() }

  /// The results in a file, and the bytes of its whole lines; nil for a file whose first line was not finished.
  static func read(_ path: String) throws -> (results: EvaluationResults?, length: Int) {
    let data: Data
    do {
      data = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      throw ResultFileError.unreadable(path: path, reason: failureReason(error))
    }
    let decoder = makeDecoder()
    let length = data.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    // Without a single line break it may be anything: only what looks like the beginning of ours may be cut off.
    guard length > 0 || data.isEmpty || data.starts(with: Data("{\"".utf8)) else {
      throw ResultFileError.notResults(path: path, line: 1)
    }
    var results: EvaluationResults?
    var places: [EvaluationKey: Int] = [:]
    for (number, line) in data[..<length].split(separator: UInt8(ascii: "\n")).enumerated() {
      guard let line = try? decoder.decode(EvaluationLine.self, from: line) else {
        throw ResultFileError.notResults(path: path, line: number + 1)
      }
      switch line {
      case .header(let header) where number == 0 && header.version == EvaluationHeader.currentVersion:
        results = EvaluationResults(header: header)
      case .answer(let record) where results != nil && places[record.key] == nil:
        places[record.key] = number
        results?.answers.append(record)
      case .fidelity(let record) where results != nil && places[record.key] == nil:
        places[record.key] = number
        results?.fidelity.append(record)
      default:
        throw ResultFileError.notResults(path: path, line: number + 1)
      }
    }
    return (results, length)
  }

  package func has(_ key: EvaluationKey) -> Bool { known.contains(key) }

  package func append(_ record: AnswerRecord) throws {
    try write(.answer(record))
    results.answers.append(record)
    known.insert(record.key)
  }

  package func append(_ record: FidelityRecord) throws {
    try write(.fidelity(record))
    results.fidelity.append(record)
    known.insert(record.key)
  }

  /// A line and its end in one write, then to the disk: a kill leaves at most one torn line, at the end.
  private func write(_ line: EvaluationLine) throws {
    let data = try encoder.encode(line) + Data("\n".utf8)
    try Self.writing(path) {
      try handle.write(contentsOf: data)
      try handle.synchronize()
    }
  }

  private static func writing(_ path: String, _ body: () throws -> Void) throws {
    do {
      try body()
    } catch {
      throw ResultFileError.unwritable(path: path, reason: failureReason(error))
    }
  }
}

extension EvaluationResults {
  /// Reads the results in a file, without its last line if that was not written to its end.
  ///
  /// Throws ``ResultFileError``.
  public init(contentsOf path: String) throws {
    guard let results = try ResultFile.read(path).results else {
      throw ResultFileError.notResults(path: path, line: 1)
    }
    self = results
  }
}
