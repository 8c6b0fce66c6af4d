// The code of the article "Keeping keys and values", run, and held to be the same.

import AttentionKernels
import Foundation
import Testing
import VectorIndex

@Suite struct KeyValueTutorialTests {
  @Test func tutorial() throws {
    let head = SyntheticHead(rows: 2000, dimension: 64, seed: 3)
    let (keys, values, sample) = (head.keys, head.values, head.queries(100, seed: 1))
    let queries = head.queries(3, seed: 2)
    let directory = try TemporaryDirectory()
    let path = directory.file()

    let index = try KeyValueIndex(ClusterIndex(dimension: 64))
    let ids = try index.insert(
      keys: keys.span, values: values.span,  // [rows, 64]
      trainingQueries: sample.span)  // [queries, 64]

    var states = try SoftmaxStates(count: 3, dimension: 64)
    let read = try index.attend(queries: queries.span, states: &states)  // queries: [3, 64]
    let (outputs, logSumExps) = states.finished()  // [3, 64] and [3]

    let best = try index.search(queries: queries.span, count: 10).rows
    for row in best[0] {
      print(row.id, row.score)
    }

    try index.remove(ids: ids.prefix(100))

    try index.save(to: path)
    let reopened = try KeyValueIndex<ClusterIndex>(contentsOf: path)

    #expect(read.bytes > 0 && read.bytes < 2000 * 256)
    #expect(outputs.count == 192 && logSumExps.allSatisfy(\.isFinite))
    #expect(best.map(\.count) == [10, 10, 10])
    #expect(reopened.count == 1900 && reopened.ids.allSatisfy { $0 >= 100 })
  }

  /// Every piece of the article's code is in the test above, line by line.
  @Test func articleHasTheSameCode() throws {
    let test = URL(fileURLWithPath: #filePath)
    let root = (0..<4).reduce(test) { folder, _ in folder.deletingLastPathComponent() }
    let article = try String(
      contentsOf: root.appendingPathComponent("Sources/VectorIndex/VectorIndex.docc/KeepingKeysAndValues.md"),
      encoding: .utf8)
    func lines(_ text: some StringProtocol) -> [String] {
      text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
    }
    let source = lines(try String(contentsOf: test, encoding: .utf8))
    let pieces = article.components(separatedBy: "```swift\n").dropFirst()
      .map { lines($0.components(separatedBy: "```")[0]) }
    #expect(pieces.count == 5)
    for piece in pieces { #expect(source.contains(piece), "\(piece.joined(separator: "\n"))") }
  }
}
