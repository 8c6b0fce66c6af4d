// Colors of a map of reading, and the rules that show those of the chosen sentence.

extension ReadingMap {
  /// How much was read, in steps of color.
  struct Heat: Sendable {
    /// Steps of color; 0 is none.
    static let steps = 10

    /// `[passage: step]` of the whole answer.
    let whole: [Int: Int]
    /// `[sentence][passage: step]`
    let sentences: [[Int: Int]]
    private let shown: Set<Int>

    /// Sentences share a scale, so that one that read little looks like it; the mean over the answer has its own.
    init(_ evidence: AnswerEvidence) {
      whole = Self.steps(evidence.readings, most: evidence.readings.map(\.strength).max() ?? 0)
      let most = evidence.sentences.flatMap(\.readings).map(\.strength).max() ?? 0
      sentences = evidence.sentences.map { Self.steps($0.readings, most: most) }
      shown = sentences.reduce(into: Set(whole.keys)) { $0.formUnion($1.keys) }
    }

    func isShown(_ segment: Int) -> Bool { shown.contains(segment) }

    /// By the square root, so that a tenth of the most is seen, too; what is below a four hundredth is not.
    private static func steps(_ readings: [SentenceEvidence.Reading], most: Double) -> [Int: Int] {
      guard most > 0, most.isFinite else { return [:] }
      var result: [Int: Int] = [:]
      for reading in readings where reading.strength > 0 {
        let step = Int(((min(1, reading.strength / most)).squareRoot() * Double(steps)).rounded())
        if step > 0 { result[reading.segment] = step }
      }
      return result
    }

    /// For each sentence the colors of what it read, while it is chosen.
    var rules: String {
      sentences.enumerated().flatMap { sentence, steps in
        Dictionary(grouping: steps.keys.sorted()) { steps[$0] ?? 0 }.sorted { $0.key < $1.key }.map {
          step, segments in
          let marks = segments.map { "#g\($0)" }.joined(separator: ",")
          return """
            body:has(#s\(sentence):checked) :is(\(marks)){background:var(--b\(step));color:var(--i\(step))}
            """
        }
      }.joined(separator: "\n")
    }
  }

  /// From pale yellow to brown on paper, and from brown to bright yellow on black: more stands out in both.
  private static let light = [
    "#fff6d6", "#feeab0", "#fedc89", "#fdc95f", "#fbb03f", "#f3922b", "#df7318", "#b9500a", "#983c08",
    "#742b06",
  ]
  private static let dark = [
    "#2a2318", "#3a2d15", "#4d3a12", "#64490f", "#7d590e", "#a5740f", "#bd8413", "#dc9d22", "#f3b840",
    "#ffd677",
  ]

  private static func colors(_ backgrounds: [String], ink: [String]) -> String {
    zip(backgrounds, ink).enumerated().map { index, color in
      "--b\(index + 1):\(color.0);--i\(index + 1):\(color.1)"
    }.joined(separator: ";")
  }

  private static let lightInk = Array(repeating: "#1d1f23", count: 7) + Array(repeating: "#fff", count: 3)
  private static let darkInk = Array(repeating: "#eceef1", count: 5) + Array(repeating: "#0e0f12", count: 5)

  static var style: String {
    """
    :root{color-scheme:light dark;--paper:#fbfbf9;--ink:#1d1f23;--soft:#5d636d;--line:#d9dbdf;--mark:#0b57b0;
    --chosen:#dfe9f7;\(colors(light, ink: lightInk))}
    @media (prefers-color-scheme:dark){:root{--paper:#14161a;--ink:#e4e6ea;--soft:#9aa1ac;--line:#343941;
    --mark:#8ab8f5;--chosen:#24344c;\(colors(dark, ink: darkInk))}}
    \((1...Heat.steps).map { ".h\($0){background:var(--b\($0));color:var(--i\($0))}" }.joined(separator: "\n"))
    *{box-sizing:border-box}
    body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif;overflow-wrap:anywhere;
    display:grid;grid-template-columns:minmax(18rem,26rem) minmax(0,1fr)}
    h1{font-size:1.2rem;line-height:1.25;margin:0 0 .6rem}
    h2{font-size:1rem;margin:0 0 .6rem;color:var(--soft)}
    p{margin:.5rem 0}
    .answer{position:sticky;top:0;height:100vh;height:100dvh;overflow:auto;padding:1.2rem;
    border-right:1px solid var(--line)}
    main{padding:1.2rem 1.6rem;max-width:54rem}
    section+section{margin-top:2.5rem}
    .text{white-space:pre-wrap}
    .code{font:.85rem/1.5 ui-monospace,monospace}
    .question,.note,.scale,.gap{color:var(--soft);font-size:.9rem}
    fieldset{border:0;margin:.8rem 0;padding:0}
    legend{padding:0;font-weight:600;font-size:.9rem;color:var(--soft)}
    label{cursor:pointer;position:relative}
    label span{-webkit-box-decoration-break:clone;box-decoration-break:clone;border-radius:3px;padding:.1em 0}
    label input{position:absolute;opacity:0;width:1px;height:1px;margin:0}
    label:hover span{text-decoration:underline;text-decoration-color:var(--soft);text-underline-offset:.2em}
    label input:checked+span{background:var(--chosen);box-shadow:0 0 0 .15em var(--chosen)}
    label input:focus-visible+span{outline:2px solid var(--mark);outline-offset:2px}
    .all{display:inline-block;margin:.3rem 0 .5rem;font-size:.9rem}
    .all span{border:1px solid var(--line);padding:.25rem .6rem}
    a{color:var(--mark)}
    .n,sup a{font-size:.75rem;text-decoration:none;padding:.15rem .3rem;border-radius:3px}
    .n{vertical-align:super;line-height:1;padding:.15rem}
    .n:hover,sup a:hover{text-decoration:underline}
    sup{line-height:0;scroll-margin-top:4rem}
    sup:target a{background:var(--mark);color:var(--paper)}
    ol{padding-left:1.6rem;font-size:.875rem}
    li{margin:.4rem 0}
    q{color:var(--soft)}
    mark{background:none;color:inherit;border-radius:2px;scroll-margin-top:4rem}
    .scale{display:flex;align-items:center;gap:.5rem;font-size:.8rem}
    .scale i{height:.7rem;flex:0 1 9rem;border-radius:2px;
    background:linear-gradient(90deg,\((1...Heat.steps).map { "var(--b\($0))" }.joined(separator: ",")))}
    .gap{margin:1rem 0;border-block:1px dashed var(--line);text-align:center;padding:.2rem}
    body:has(.one:checked) mark{background:none;color:inherit}
    @media (max-width:52rem){
    body{display:block}
    .answer{height:auto;max-height:45vh;max-height:45dvh;border-right:0;border-bottom:1px solid var(--line);
    background:var(--paper);padding:.8rem 1rem;z-index:1}
    main{padding:1rem}
    sup,mark{scroll-margin-top:calc(45vh + 2rem)}
    }
    @media print{.answer{position:static;height:auto;max-height:none}body{display:block}}
    """
  }
}
