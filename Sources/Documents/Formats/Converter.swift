// Programs that read what we do not: poppler's pdftotext, and pandoc.

import Foundation
import Platform

/// A program that makes text of a file.
public struct Converter: Sendable, Hashable {
  /// As it is found on PATH.
  public let program: String
  /// How to install it.
  public let advice: String
  private let arguments: [String]

  /// For PDF. Pages end with form feeds.
  public static let pdftotext = Converter(
    program: "pdftotext",
    advice: installation("poppler-utils", brew: "poppler"),
    arguments: ["-q", "-enc", "UTF-8", "-eol", "unix"])

  /// For DOCX, ODT, EPUB, HTML and RTF; gives Markdown.
  public static func pandoc(_ format: DocumentFormat) -> Converter {
    // Without what is markup and no text; --sandbox, so that a document makes it read no other file and no address.
    let markdown =
      "markdown-raw_html-native_divs-native_spans-fenced_divs-bracketed_spans-header_attributes-link_attributes"
      + "-smart-tex_math_dollars-raw_attribute"
    return Converter(
      program: "pandoc", advice: installation("pandoc", brew: "pandoc"),
      arguments: [
        "--sandbox", "--standalone", "--wrap=none", "--from", format.rawValue, "--to", markdown,
      ])
  }

  /// The converter of a format; nil for formats that need none.
  public init?(for format: DocumentFormat) {
    switch format {
    case .pdf: self = .pdftotext
    case .docx, .odt, .epub, .html, .rtf: self = .pandoc(format)
    case .text, .markdown, .notebook: return nil
    }
  }

  private init(program: String, advice: String, arguments: [String]) {
    self.program = program
    self.advice = advice
    self.arguments = arguments
  }

  private static func installation(_ package: String, brew: String) -> String {
    #if os(macOS)
      "'brew install \(brew)' installs it"
    #else
      "'apt install \(package)' installs it on Debian and Ubuntu, 'brew install \(brew)' on macOS"
    #endif
  }

  /// Where the program is in a list of folders as PATH has it; nil where it is not.
  ///
  /// - Parameter folders: separated by colons; nil for the PATH of this process.
  public func executable(in folders: String? = nil) -> String? {
    ChildProgram.find(program, in: folders)
  }

  /// The text of a file.
  ///
  /// - Parameters:
  ///   - path: absolute, so that it is no option.
  ///   - limit: bytes of text.
  func text(of path: String, name: String, settings: DocumentReader.Settings) throws -> String {
    guard let executable = executable(in: settings.programFolders) else {
      throw DocumentError.missingConverter(path: name, program: program, advice: advice)
    }
    let target = program == "pdftotext" ? [path, "-"] : [path]
    let result: (ended: ChildProgram.Ended, output: Data)
    do {
      result = try ChildProgram.run(
        executable, arguments + target, timeLimit: settings.converterSeconds, outputLimit: settings.byteLimit)
    } catch ChildProgram.Failure.tooSlow {
      throw DocumentError.conversionTooSlow(path: name, program: program, limit: settings.converterSeconds)
    } catch ChildProgram.Failure.tooMuchOutput {
      throw DocumentError.tooLarge(path: name, byteCount: nil, limit: settings.byteLimit)
    } catch ChildProgram.Failure.notStarted(let reason) {
      throw DocumentError.conversionFailed(path: name, program: program, message: reason)
    }
    guard result.ended.status == 0 else {
      throw DocumentError.conversionFailed(path: name, program: program, message: message(of: result.ended))
    }
    let text = String(decoding: result.output, as: UTF8.self)
    return program == "pandoc" ? Self.withoutEmbeddedData(text) : text
  }

  private func message(of result: ChildProgram.Ended) -> String {
    let lines = result.errors.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    let said = lines.filter { !$0.isEmpty }.prefix(3).joined(separator: " ")
    if said.contains("--sandbox") { return "\(said) (version 2.15 or newer is needed)" }
    let ending =
      result.wasKilled ? "it was ended by signal \(result.status)" : "it ended with status \(result.status)"
    return said.isEmpty ? ending : said
  }

  /// Pictures within a text would be read as megabytes of letters.
  static func withoutEmbeddedData(_ text: String) -> String {
    guard text.contains("(data:") else { return text }
    return text.replacing(#/\(data:[^)\s]*\)/#, with: "(data)")
  }
}
