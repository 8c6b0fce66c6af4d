import Documents
import Foundation
@_exported import TestSupport

/// A folder of files to read.
struct DocumentFolder {
  let folder: TemporaryFolder

  init(_ files: [String: String] = [:]) throws {
    folder = try TemporaryFolder()
    for (name, text) in files { try write(name, Data(text.utf8)) }
  }

  var path: String { folder.url("docs").path }
  func path(_ name: String) -> String { "\(path)/\(name)" }

  func write(_ name: String, _ data: Data) throws {
    let url = URL(fileURLWithPath: path(name))
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try data.write(to: url)
  }

  /// A program that stands for a converter, in a folder of its own.
  func program(_ name: String, _ script: String) throws -> String {
    try write("../bin/\(name)", Data("#!/bin/sh\n\(script)\n".utf8))
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path("../bin/\(name)"))
    return URL(fileURLWithPath: path("../bin")).standardizedFileURL.path
  }

  /// Reads names within the folder, or the folder itself.
  func read(
    _ names: [String] = [""], _ change: (inout DocumentReader.Settings) -> Void = { _ in }
  ) throws -> DocumentCollection {
    var settings = DocumentReader.Settings()
    change(&settings)
    return try DocumentReader(settings: settings).read(names.map { $0.isEmpty ? path : path($0) })
  }

  func names(_ change: (inout DocumentReader.Settings) -> Void = { _ in }) throws -> [String] {
    try read([""], change).documents.map(\.name)
  }
}

/// A PDF of pages with a line of text each, written as the specification (ISO 32000-1, 7.5) has it.
func pdf(pages: [String]) -> Data {
  var objects = ["<< /Type /Catalog /Pages 2 0 R >>"]
  let kids = pages.indices.map { "\(4 + 2 * $0) 0 R" }.joined(separator: " ")
  objects.append("<< /Type /Pages /Kids [\(kids)] /Count \(pages.count) >>")
  objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
  for (index, text) in pages.enumerated() {
    objects.append(
      "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
        + "/Contents \(5 + 2 * index) 0 R >>")
    let stream = text.isEmpty ? "" : "BT /F1 12 Tf 72 720 Td (\(text)) Tj ET"
    objects.append("<< /Length \(stream.utf8.count) >>\nstream\n\(stream)\nendstream")
  }
  var file = "%PDF-1.4\n"
  var offsets: [Int] = []
  for (index, object) in objects.enumerated() {
    offsets.append(file.utf8.count)
    file += "\(index + 1) 0 obj\n\(object)\nendobj\n"
  }
  let start = file.utf8.count
  file += "xref\n0 \(objects.count + 1)\n0000000000 65535 f \n"
  for offset in offsets { file += String(format: "%010d 00000 n \n", offset) }
  file += "trailer\n<< /Size \(objects.count + 1) /Root 1 0 R >>\nstartxref\n\(start)\n%%EOF\n"
  return Data(file.utf8)
}

extension Document {
  /// The place of a part of the text.
  func place(of part: String) -> DocumentPlace? {
    text.utf8.firstRange(of: part.utf8).map {
      places.place(at: text.utf8.distance(from: text.startIndex, to: $0.lowerBound))
    }
  }
}
