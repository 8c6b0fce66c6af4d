// The documents of a map of reading, with what was read marked.

extension ReadingMap {
  /// Passages that are kept on both sides of one that was read, where a document is too long to be shown whole.
  private static let context = 8

  func documentSections(_ numbers: CitationNumbers) -> String {
    // Where a number stands: in front of the first passage that it cites.
    var starts: [Int: [Int: [Int]]] = [:]
    for (index, citation) in numbers.cited.enumerated() {
      starts[citation.document, default: [:]][citation.documentBytes.lowerBound, default: []].append(
        index + 1)
    }
    return sources.documents.indices.map { number in
      """
      <section>
      <h2>\(Self.escaped(sources.documents[number].name))</h2>
      <div class="\(isCode(number) ? "text code" : "text")">\(body(of: number, numbers: starts[number] ?? [:]))</div>
      </section>
      """
    }.joined(separator: "\n")
  }

  private func isCode(_ document: Int) -> Bool {
    TextStyle(name: sources.documents[document].name, text: sources.documents[document].text) == .code
  }

  private func body(of document: Int, numbers: [Int: [Int]]) -> String {
    let indices = sources.segmentIndices[document]
    let textBytes = sources.documents[document].text.utf8.count
    let marked = indices.filter { heat.isShown($0) || numbers[sources.segments[$0].bytes.lowerBound] != nil }
    var html = ""
    var done = 0
    for run in shownRuns(indices, marked: marked, isLong: textBytes > Self.longestDocument) {
      if let left = run.leftOut {
        html += "<p class=\"gap\">\(left) \(left == 1 ? "passage" : "passages") left out</p>"
        done = run.bytes.lowerBound
      }
      for segment in run.marked {
        let bytes = sources.segments[segment].bytes
        html += Self.escaped(sources.text(document: document, bytes: done..<bytes.lowerBound))
        for number in numbers[bytes.lowerBound] ?? [] {
          html +=
            "<sup id=\"c\(number)\"><a href=\"#all\" aria-label=\"cited as \(number)\">\(number)</a></sup>"
        }
        html += "<mark id=\"g\(segment)\" class=\"h\(heat.whole[segment] ?? 0)\">"
        html += Self.escaped(sources.text(document: document, bytes: bytes)) + "</mark>"
        done = bytes.upperBound
      }
      html += Self.escaped(sources.text(document: document, bytes: done..<max(done, run.bytes.upperBound)))
      done = max(done, run.bytes.upperBound)
    }
    return html
  }

  /// A part of a document that is shown as it stands.
  private struct Run {
    /// Passages in front of it that are not shown; nil where it follows on what is in front.
    var leftOut: Int?
    var bytes: Range<Int>
    var marked: [Int]
  }

  /// The whole document, or what is around marked passages of a long one.
  private func shownRuns(_ indices: Range<Int>, marked: [Int], isLong: Bool) -> [Run] {
    guard isLong, !indices.isEmpty else {
      let document = indices.isEmpty ? nil : sources.segments[indices.lowerBound].document
      let bytes = document.map { sources.documents[$0].text.utf8.count } ?? 0
      return [Run(leftOut: nil, bytes: 0..<bytes, marked: marked)]
    }
    var runs: [(segments: Range<Int>, marked: [Int])] = []
    for segment in marked {
      let around = (segment - Self.context..<segment + Self.context + 1).clamped(to: indices)
      if let last = runs.last, around.lowerBound <= last.segments.upperBound {
        runs[runs.count - 1] = (last.segments.lowerBound..<around.upperBound, last.marked + [segment])
      } else {
        runs.append((around, [segment]))
      }
    }
    var shown: [Run] = []
    var next = indices.lowerBound
    for run in runs {
      let bytes =
        sources.segments[run.segments.lowerBound].bytes
        .lowerBound..<sources.segments[run.segments.upperBound - 1].bytes.upperBound
      let left = run.segments.lowerBound - next
      shown.append(Run(leftOut: left > 0 ? left : nil, bytes: bytes, marked: run.marked))
      next = run.segments.upperBound
    }
    if next < indices.upperBound {
      let end = sources.segments[indices.upperBound - 1].bytes.upperBound
      shown.append(Run(leftOut: indices.upperBound - next, bytes: end..<end, marked: []))
    }
    return shown
  }
}
