import Foundation
import Platform
import Testing

@testable import Documents

@Suite struct FormatTests {
  /// Whether a converter is there. Where it is not, that it is missing is a known condition of the machine: the tests
  /// that need it are reported as skipped, with the program's name.
  private static let hasPDF = Converter.pdftotext.executable() != nil
  private static let hasPandoc = Converter.pandoc(.html).executable() != nil

  @Test(.enabled(if: hasPDF, "pdftotext is not installed"))
  func `A PDF has pages`() throws {
    let folder = try DocumentFolder()
    try folder.write("a.pdf", pdf(pages: ["The first page.", "The second page.", "The last page."]))
    let document = try #require(try folder.read().documents.first)
    #expect(document.format == .pdf)
    #expect(document.places.pageCount == 3)
    #expect(document.place(of: "first") == DocumentPlace(line: 1, page: 1))
    #expect(document.place(of: "last") == DocumentPlace(line: 1, page: 3))
    #expect(document.text.hasPrefix("The first page.\n"))
    // By its bytes, whatever its name is, and from a pipe.
    let bytes = try DocumentReader().document(named: "download", data: pdf(pages: ["Piped."]))
    #expect(bytes.text.hasPrefix("Piped."))
  }

  @Test(.enabled(if: hasPDF, "pdftotext is not installed"))
  func `A PDF without text or with damage is told`() throws {
    let folder = try DocumentFolder()
    try folder.write("scan.pdf", pdf(pages: [""]))
    let scan = #expect(throws: DocumentError.self) { try folder.read(["scan.pdf"]) }
    #expect(scan.map { "\($0)" }?.contains("has no text; scanned pages need OCR") == true)
    try folder.write("cut.pdf", Data("%PDF-1.4\nnothing\n".utf8))
    guard
      case .conversionFailed(let path, "pdftotext", let message)? = #expect(
        throws: DocumentError.self, performing: { try folder.read(["cut.pdf"]) })
    else { return #expect(Bool(false), "another error") }
    #expect(path == folder.path("cut.pdf"))
    #expect(!message.isEmpty)
  }

  @Test(.enabled(if: hasPandoc, "pandoc is not installed"))
  func `HTML, and what pandoc writes of it, has headings`() throws {
    let folder = try DocumentFolder([
      "a.html": """
      <html><head><title>Report</title></head><body><h1>Results</h1><p>Owls are <b>quiet</b>.</p>
      <h2>Costs</h2><p>They cost nothing.</p><img src="data:image/png;base64,AAAABBBBCCCC">
      <iframe src="/etc/passwd"></iframe><script>alert(1)</script></body></html>
      """
    ])
    let pandoc = try #require(Converter.pandoc(.html).executable())
    for name in ["a.docx", "a.odt", "a.epub"] {
      let made = try ChildProgram.run(
        pandoc, [folder.path("a.html"), "-o", folder.path(name)], timeLimit: 60, outputLimit: 1 << 20)
      try #require(made.ended.status == 0, "\(made.ended.errors)")
    }
    let found = try folder.read()
    #expect(found.documents.map(\.format) == [.docx, .epub, .html, .odt])
    for document in found.documents {
      #expect(document.place(of: "quiet")?.heading == "Results", "\(document.text)")
      #expect(document.place(of: "They cost")?.heading == "Costs")
      #expect(document.text.contains("Report"))
      #expect(!document.text.contains("root:") && !document.text.contains("alert"))
      #expect(!document.text.contains("AAAA"))
    }
  }

  @Test func `A missing converter tells how to install it, and is no error in a folder`() throws {
    let folder = try DocumentFolder(["a.txt": "a", "b.html": "<html>b</html>"])
    try folder.write("c.pdf", pdf(pages: ["c"]))
    let error = #expect(throws: DocumentError.self) {
      try folder.read(["c.pdf"]) { $0.programFolders = folder.path }
    }
    #expect(error.map { "\($0)" }?.contains("needs pdftotext, which is not installed") == true)
    #expect(error.map { "\($0)" }?.contains("brew install poppler") == true)
    let found = try folder.read([""]) { $0.programFolders = folder.path }
    #expect(found.documents.map(\.name) == ["a.txt"])
    #expect(found.notes.count == 1)
    #expect(found.notes[0].contains("skipped 2 files"))
    #expect(found.notes[0].contains("1 for which pdftotext is missing"))
  }

  @Test func `A converter that fails, hangs or writes without end is an error`() throws {
    let folder = try DocumentFolder()
    try folder.write("a.pdf", pdf(pages: ["a"]))
    var programs = try folder.program("pdftotext", "echo 'Syntax Error: no xref' >&2; exit 3")
    #expect(
      throws: DocumentError.conversionFailed(
        path: folder.path("a.pdf"), program: "pdftotext", message: "Syntax Error: no xref")
    ) { try folder.read(["a.pdf"]) { $0.programFolders = programs } }
    programs = try folder.program("pdftotext", "exec sleep 60")
    #expect(
      throws: DocumentError.conversionTooSlow(path: folder.path("a.pdf"), program: "pdftotext", limit: 0.2)
    ) {
      try folder.read(["a.pdf"]) {
        $0.programFolders = programs
        $0.converterSeconds = 0.2
      }
    }
    programs = try folder.program("pdftotext", "exec cat /dev/zero")
    #expect(throws: DocumentError.tooLarge(path: folder.path("a.pdf"), byteCount: nil, limit: 1 << 20)) {
      try folder.read(["a.pdf"]) {
        $0.programFolders = programs
        $0.byteLimit = 1 << 20
      }
    }
  }

  /// Arguments are no text for a shell.
  @Test func `Names with special characters reach the converter as they are`() throws {
    let folder = try DocumentFolder()
    let name = "-o $(touch x) '\"; a.pdf"
    try folder.write(name, pdf(pages: ["a"]))
    let programs = try folder.program(
      "pdftotext", "for last; do [ \"$last\" = - ] || name=$last; done; echo \"$name\"")
    let found = try folder.read([name]) { $0.programFolders = programs }
    #expect(found.documents.map(\.text) == [folder.path(name) + "\n"])
  }

  @Test func `Notebooks are read cell by cell`() throws {
    let notebook = """
      {"nbformat": 4, "cells": [
        {"cell_type": "markdown", "source": ["# Owls\\n", "About owls."]},
        {"cell_type": "code", "source": "print(6 * 7)", "outputs": [
          {"output_type": "stream", "name": "stdout", "text": ["42\\n"]},
          {"output_type": "display_data", "data": {"image/png": "AAAA", "text/plain": "<Figure>"}}]},
        {"cell_type": "code", "source": "", "outputs": []},
        {"cell_type": "code", "source": "1 / 0", "outputs": [
          {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero",
           "traceback": ["\\u001b[0;31mZeroDivisionError\\u001b[0m", "division by zero"]}]}
      ]}
      """
    let document = try DocumentReader().document(named: "a.ipynb", data: Data(notebook.utf8))
    #expect(
      document.text == """
        [Cell 1]
        # Owls
        About owls.

        [Cell 2, code]
        print(6 * 7)
        [Output of cell 2]
        42
        [Output of cell 2]
        <Figure>

        [Cell 4, code]
        1 / 0
        [Output of cell 4]
        ZeroDivisionError
        division by zero

        """)
    #expect(document.place(of: "print") == DocumentPlace(line: 2, heading: "Owls", cell: 2))
    #expect(document.place(of: "1 / 0")?.cell == 4)
  }

  @Test(arguments: ["{", "[]", "{}", "{\"cells\": 3}", "{\"cells\": [{\"source\": \"x\"}]}"])
  func `Damaged notebooks are told`(text: String) {
    #expect(throws: DocumentError.self) {
      try DocumentReader().document(named: "a.ipynb", data: Data(text.utf8))
    }
  }
}
