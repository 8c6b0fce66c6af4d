// Whether a text is prose or code.

/// What the passages of a text are.
public enum TextStyle: String, Sendable, CaseIterable {
  /// Sentences, headings, items of lists and rows of tables, and the lines of code between fences.
  case prose
  /// Lines.
  case code

  /// Tells by the suffix of the name, and where that says nothing by the look of the first 400 lines.
  public init(name: String, text: String) {
    if let known = Self.style(ofName: name) {
      self = known
      return
    }
    self = Self.looksLikeCode(text.utf8.prefix(Self.sampleBytes)) ? .code : .prose
  }

  private static let sampleBytes = 1 << 16
  private static let sampleLines = 400

  /// By the suffix; nil for none and for those, as txt, that say nothing.
  private static func style(ofName name: String) -> TextStyle? {
    let file = name.split { $0 == "/" || $0 == "\\" }.last ?? ""
    guard let dot = file.lastIndex(of: ".") else {
      return ["makefile", "dockerfile"].contains(file.lowercased()) ? .code : nil
    }
    let suffix = file[file.index(after: dot)...].lowercased()
    if proseSuffixes.contains(suffix) { return .prose }
    return codeSuffixes.contains(suffix) ? .code : nil
  }

  private static let proseSuffixes: Set<String> = [
    "adoc", "asciidoc", "doc", "docx", "epub", "htm", "html", "markdown", "md", "mdx", "odt", "org", "pdf",
    "rst",
    "rtf", "tex",
  ]

  private static let codeSuffixes: Set<String> = [
    "asm", "awk", "bash", "bat", "c", "cc", "cfg", "cjs", "clj", "cmake", "conf", "cpp", "cs", "css", "csv",
    "cu",
    "cuh", "cxx", "d", "dart", "diff", "el", "erl", "ex", "exs", "f", "f90", "fish", "fs", "glsl", "go",
    "gradle",
    "groovy", "h", "hh", "hpp", "hs", "hxx", "ini", "ipynb", "java", "jl", "js", "json", "jsonl", "jsx", "kt",
    "kts",
    "less", "lisp", "log", "lua", "m", "make", "metal", "mjs", "mk", "ml", "mm", "nix", "patch", "php", "pl",
    "pm",
    "proto", "ps1", "py", "pyi", "r", "rb", "rs", "s", "sass", "scala", "scss", "sh", "sol", "sql", "swift",
    "tcl",
    "tf", "toml", "ts", "tsv", "tsx", "v", "vb", "vhdl", "vim", "vue", "wgsl", "xml", "yaml", "yml", "zig",
    "zsh",
  ]

  /// Whether at least two lines of five look as lines of programs do and prose seldom does. Two lines tell nothing.
  static func looksLikeCode(_ bytes: some Sequence<UInt8>) -> Bool {
    var (lines, code) = (0, 0)
    var line: [UInt8] = []
    func count() {
      guard line.contains(where: { !TextCursor.isBlank($0) }) else { return }
      lines += 1
      if isCode(line) { code += 1 }
    }
    for byte in bytes {
      if byte == Ascii.newline {
        count()
        line.removeAll(keepingCapacity: true)
        if lines == sampleLines { break }
      } else {
        line.append(byte)
      }
    }
    if lines < sampleLines { count() }
    return lines >= 3 && code * 5 >= lines * 2
  }

  private static let beginnings = [
    "#include", "#define", "#!", "//", "/*", "*/", "import ", "from ", "def ", "class ", "func ", "fn ",
    "return ",
    "return;", "let ", "var ", "const ", "public ", "private ", "static ", "struct ", "@", "</", "<?", "if (",
    "for (",
    "while (", "elif ", "else:", "end",
  ].map { Array($0.utf8) }

  private static let endings = Array(";{}[(>=\\".utf8)

  private static func isCode(_ line: [UInt8]) -> Bool {
    let content = line.drop { TextCursor.isBlank($0) }
    guard let last = content.last(where: { !TextCursor.isBlank($0) }) else { return false }
    // Brackets that close may end a line of prose as well.
    if endings.contains(last) { return true }
    // Words that prose begins with, too, count only where the line looks like no sentence.
    if beginnings.contains(where: { content.starts(with: $0) }) {
      return last != Ascii.stop && last != UInt8(ascii: ",")
    }
    for pair in zip(content, content.dropFirst()) {
      switch (pair.0, pair.1) {
      case (UInt8(ascii: "("), UInt8(ascii: ")")), (UInt8(ascii: "-"), UInt8(ascii: ">")),
        (UInt8(ascii: "="), UInt8(ascii: "=")), (UInt8(ascii: " "), UInt8(ascii: "=")),
        (UInt8(ascii: "\""), UInt8(ascii: ":")), (UInt8(ascii: ")"), UInt8(ascii: ":")):
        return true
      default: continue
      }
    }
    return false
  }
}
