import Serving
import Testing

@Suite struct StopMatcherTests {
  /// What comes out when `text` goes in, cut at the given places.
  private func run(_ pieces: [String], stops: [String]) -> (text: String, stopped: Bool) {
    var matcher = StopMatcher(stops: stops)
    var result = ""
    for piece in pieces { result += matcher.append(piece) }
    result += matcher.finish()
    return (result, matcher.isStopped)
  }

  @Test func findsStopsAcrossPieces() {
    #expect(run(["ab", "cd", "ef"], stops: ["cde"]) == ("ab", true))
    #expect(run(["ab", "cd", "xf"], stops: ["cde"]) == ("abcdxf", false))
    #expect(run(["aaab"], stops: ["aab"]) == ("a", true))
    #expect(run(["a", "a", "a", "b"], stops: ["aab"]) == ("a", true))
    #expect(run(["x\n", "\ny"], stops: ["\n\n"]) == ("x", true))
    #expect(run(["abc"], stops: ["", "zz"]) == ("abc", false))
    #expect(run(["sagt: gr", "üß", "e"], stops: ["ß"]) == ("sagt: grü", true))
    #expect(run(["👩‍", "👧 x"], stops: ["👧"]) == ("👩‍", true))
  }

  @Test func theMatchThatEndsFirstWins() {
    #expect(run(["abcdef"], stops: ["bcdef", "d"]) == ("abc", true))
    #expect(run(["abcdef"], stops: ["cd", "bcd"]) == ("a", true))
  }

  @Test func holdsBackNoMoreThanNeeded() {
    var matcher = StopMatcher(stops: ["stop"])
    #expect(matcher.append("go st") == "go ")
    #expect(matcher.append("a") == "sta")
    #expect(matcher.append("sto") == "")
    #expect(matcher.finish() == "sto")
    #expect(matcher.append("stop more") == "")
    #expect(matcher.append("more") == "")
    #expect(matcher.finish() == "")
  }

  /// Whole against piecewise, over every way to cut short texts in two.
  @Test func cutsDoNotMatter() {
    let stops = ["ab", "bba", "aa"]
    for bits in 0..<(1 << 8) {
      let text = String((0..<8).map { bits >> $0 & 1 == 0 ? "a" : "b" })
      let whole = run([text], stops: stops)
      for cut in 0...8 {
        let pieces = [String(text.prefix(cut)), String(text.dropFirst(cut))]
        #expect(run(pieces, stops: stops) == whole, "\(text) at \(cut)")
      }
      #expect(run(text.map { String($0) }, stops: stops) == whole)
    }
  }
}
