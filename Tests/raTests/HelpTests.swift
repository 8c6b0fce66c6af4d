import Testing

@Suite struct HelpTests {
  private static let devices = ["--gpu-layers", "--device", "--rpc", "--gpu-memory-limit"]
  private static let model =
    ["--model", "--threads", "--lora", "--rope-factors", "--rope-scaling", "--rope-scale", "--yarn-orig-ctx"]
    + devices
  private static let retrieval = [
    "--tolerance", "--sink", "--window", "--cluster-size", "--maximum-retrieved", "--profile",
  ]
  private static let sampling = [
    "--temperature", "--top-k", "--top-p", "--min-p", "--repetition-penalty", "--seed", "--grammar",
  ]
  private static let template = ["--chat-template", "--chat-template-kwargs"]
  private static let documents = ["--include", "--exclude", "--no-gitignore"]
  /// Commands that take long.
  private static let quietable = [
    "generate", "ingest", "ask", "fidelity", "evaluate", "tune", "doctor", "capture", "pull",
  ]
  private static let flags: [String: [String]] = [
    "generate": model + retrieval + documents + sampling + template + [
      "--prompt", "--system", "--prompt-file", "--document", "--raw", "--attention", "--max-tokens", "--json",
      "--allow-beyond-context",
    ],
    "fidelity": model + retrieval + [
      "--text", "--context", "--tokens", "--attention", "--reference", "--skip", "--also", "--host-noise",
      "--json",
      "--allow-beyond-context", "--heads",
    ],
    "evaluate": model + [
      "--tasks", "--task-file", "--lengths", "--attention", "--samples", "--questions", "--seed", "--filler",
      "--fidelity-tokens",
      "--question-by-token", "--raw", "--report", "--json", "--allow-beyond-context", "niah_multikey_3",
      "kv_retrieval", "infinitebench",
    ],
    "tune": model + retrieval.filter { $0 != "--profile" } + [
      "--text", "--validate", "--target-kl", "--context", "--tokens", "--group", "--output", "--json",
    ],
    "serve": model + retrieval + template + [
      "--host", "--system", "--port", "--api-key-file", "--allow-unauthenticated", "--parallel", "--queue",
      "--context",
      "--memory", "--stall", "--max-request", "--drain", "--attention", "--name", "--log-level", "--alias",
      "--strict-model", "--max-choices", "--allow-origin", "--pooling",
    ],
    "ingest": model + retrieval + documents + template + [
      "--add", "--update",
      "--session", "--system", "--document", "--resume", "--force", "--raw", "--attention", "--checkpoint",
      "--memory-limit", "--allow-beyond-context", "--json",
    ],
    "ask": model + retrieval + documents + sampling + template + [
      "--session", "<question>", "--question-file", "--max-tokens", "--keep", "--no-session", "--system",
      "--attention", "--memory-limit",
      "--allow-beyond-context", "--json",
    ],
    "chat": model + retrieval + documents + sampling + template + [
      "--no-session",
      "--session", "--system", "--attention", "--max-tokens", "--memory-limit", "--allow-beyond-context",
      "/help",
    ],
    "session": ["list", "show", "verify", "fork", "rm", "prune"],
    "doctor": ["<model>", "--threads"] + devices,
    "devices": ["--rpc", "--json"],
    "pull": [
      "--name", "--sha256", "--to", "--force", "--json", "smollm2", "hf:", "RA_MODEL_MIRROR", "HF_ENDPOINT",
    ],
    "models": ["--json"],
    "bench": [],
    "capture": ["--model", "--text", "--context", "--tokens", "--skip", "--layers", "--output"],
  ]

  @Test(arguments: [
    "generate", "ingest", "ask", "chat", "session", "serve", "fidelity", "evaluate", "tune", "doctor",
    "devices", "bench",
    "capture", "pull", "models",
  ])
  func helpMentionsEveryFlag(command: String) throws {
    let output = try Program.run([command, "--help"])
    #expect(output.status == 0)
    #expect(output.standardError.isEmpty)
    for flag in Self.flags[command] ?? [] { #expect(output.standardOutput.contains(flag), "\(flag)") }
    #expect(output.standardOutput.contains("-q, --quiet") == Self.quietable.contains(command))
  }

  /// The model and what is used most come first, what it runs on last.
  @Test(arguments: [
    ("ask", "--session"), ("chat", "--session"), ("generate", "--prompt"), ("ingest", "--session"),
    ("serve", "--port"),
  ])
  func helpBeginsWithWhatIsUsedMost(command: String, next: String) throws {
    let help = try Program.run([command, "--help"]).standardOutput
    let sections = help.split(separator: "\n").filter { $0.hasSuffix(":") && $0 == $0.uppercased() }
      .map { String($0.dropLast()) }
    #expect(sections.filter { $0 != "ARGUMENTS" }.first == "MAIN OPTIONS")
    #expect(sections.suffix(3) == ["HOST", "DEVICES", "OPTIONS"])
    let options = help.split(separator: "\n").filter { $0.hasPrefix("  -") }.map { $0.dropFirst(2) }
    #expect(options.first?.hasPrefix("-m, --model") == true, "\(options.first ?? "")")
    let place = try #require(options.firstIndex { $0.contains(next) })
    #expect(place < 12)
    // Nothing but what every command has stands without a title.
    #expect(options.suffix(2).map { $0.prefix(9) } == ["--version", "-h, --hel"])
  }

  @Test func helpOfBenchSpeedMentionsEveryFlag() throws {
    let output = try Program.run(["bench", "speed", "--help"])
    #expect(output.status == 0)
    for flag in [
      "--model", "--text", "--report", "--depth", "--period", "--prefill", "--tokens", "--rounds", "--json",
      "--allow-beyond-context",
    ] { #expect(output.standardOutput.contains(flag), "\(flag)") }
  }

  @Test func helpOfBenchIndexMentionsEveryFlag() throws {
    let output = try Program.run(["bench", "index", "--help"])
    #expect(output.status == 0)
    for flag in [
      "--capture", "--layers", "--heads", "--keys", "--values", "--queries", "--query-positions",
      "--training-queries", "--training-positions", "--scale", "--rope", "--rope-base", "--rope-dimensions",
      "--rope-scale", "--index", "--k", "--tolerance", "--sink", "--window", "--segment", "--recall-at",
      "--timed-queries", "--insert", "--threads", "--beam-width", "--probes", "--evict", "--merge", "--plot",
      "--json",
      "exact-top-k", "clusters",
    ] { #expect(output.standardOutput.contains(flag), "\(flag)") }
  }

  @Test func helpOfBenchMachineMentionsEveryFlag() throws {
    let output = try Program.run(["bench", "machine", "--help"])
    #expect(output.status == 0)
    for flag in ["--memory", "--threads", "--json"] {
      #expect(output.standardOutput.contains(flag), "\(flag)")
    }
  }

  @Test(arguments: [
    ("list", ["--folder", "--cache", "--json"]), ("prune", ["--to", "--json"]), ("show", ["--json"]),
    ("verify", ["--json"]),
    ("fork", ["<new>", "--json"]),
    ("rm", ["--yes", "--json"]),
  ])
  func helpOfSessionCommandsMentionsEveryFlag(command: String, flags: [String]) throws {
    let output = try Program.run(["session", command, "--help"])
    #expect(output.status == 0)
    for flag in flags { #expect(output.standardOutput.contains(flag), "\(flag)") }
  }

  @Test func helpNamesTheCommands() throws {
    let output = try Program.run(["--help"])
    #expect(output.status == 0)
    for name in [
      "generate", "ingest", "ask", "chat", "session", "serve", "fidelity", "evaluate", "tune", "attention",
      "doctor",
      "bench", "capture", "pull", "models", "RA_SIMD_LEVEL",
    ] {
      #expect(output.standardOutput.contains(name))
    }
    #expect(try Program.run(["--version"]).standardOutput.contains("."))
  }
}
