"""How ``parallel_consumer.json`` was made: Confluent's own classes encode maps, and read what ours encode.

Needs a JDK 17 and Maven: ``python tests/core/vectors/make_parallel_consumer.py`` writes the file anew, and fails
when the two sides disagree. Not part of the tests: they need the file only.

``encoded``: maps that Parallel Consumer wrote, in each of its forms (over 800 characters by their SHA-256), and
the form that it would have committed. ``read``: notes that ours wrote, with what Parallel Consumer read in them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from broker.core.lane.offset_map import decode
from broker.core.lane.offset_note import encode

VERSION = "0.5.3.3"
HERE = Path(__file__).parent
LONGEST = 800
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>vectors</groupId><artifactId>vectors</artifactId><version>1</version><dependencies>
<dependency><groupId>io.confluent.parallelconsumer</groupId><artifactId>parallel-consumer-core</artifactId>
<version>{VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>2.0.9</version></dependency>
</dependencies></project>"""
JAVA = """
import io.confluent.parallelconsumer.offsets.*;
import java.util.*;
import java.util.stream.*;
public class Vectors {
  public static void main(String[] args) throws Exception {
    OffsetSimultaneousEncoder.compressionForced = true;
    Scanner in = new Scanner(System.in);
    while (in.hasNextLine()) {
      String[] words = in.nextLine().split(" ");
      long base = Long.parseLong(words[1]);
      if (words[0].equals("encode")) {  // encode BASE HIGHEST UNFINISHED,...
        TreeSet<Long> unfinished = Arrays.stream(words[3].split(",")).map(Long::valueOf)
            .collect(Collectors.toCollection(TreeSet::new));
        OffsetSimultaneousEncoder encoder =
            new OffsetSimultaneousEncoder(base, Long.parseLong(words[2]), unfinished).invoke();
        StringBuilder line = new StringBuilder();
        encoder.getEncodingMap().forEach((form, body) -> {
          byte[] raw = new byte[body.length + 1];
          raw[0] = form.getMagicByte();
          System.arraycopy(body, 0, raw, 1, body.length);
          line.append(Base64.getEncoder().encodeToString(raw)).append(' ');
        });
        byte[] smallest = encoder.packSmallest();
        System.out.println(line.append((char) smallest[0]));
      } else {  // decode BASE NOTE
        OffsetMapCodecManager.HighestOffsetAndIncompletes read =
            OffsetMapCodecManager.deserialiseIncompleteOffsetMapFromBase64(base, words[2]);
        System.out.println(read.getHighestSeenOffset().get() + " "
            + read.getIncompleteOffsets().stream().map(String::valueOf).collect(Collectors.joining(",")));
      }
    }
  }
}
"""


def cases() -> Iterator[tuple[str, list[int], int]]:
    """Name, unfinished offsets (the first is the commit's), the offset after the highest finished one."""
    draw = random.Random(4)
    yield "field.md", [0, 4, 6, 7, 8], 10
    yield "one", [7], 9
    yield "far from zero", [5_000_000_000, 5_000_000_003], 5_000_000_010
    for count in (8, 9, 16, 17):
        yield f"{count} offsets", [100], 100 + count
    yield "a long run", [3, 30_000], 32_000
    yield "a run beyond int16", [3], 3 + 40_000
    yield "unfinished beyond int16", list(range(33_000)), 33_001
    yield "every other", list(range(0, 800, 2)), 800
    for share in (0.001, 0.01, 0.5):
        unfinished = [50, *(each for each in range(51, 10_049) if draw.random() < share)]
        yield f"10,000 offsets, {share} unfinished", unfinished, 10_050
    for n in range(16):
        length = draw.randrange(2, 60)
        yield (
            f"random {n}",
            [n, *(n + each for each in range(1, length - 1) if draw.random() < 0.4)],
            n + length,
        )


def ours() -> Iterator[tuple[int, str]]:
    """Commits and notes of ours, in every form, whole and cut."""
    for _, unfinished, end in cases():
        for form in "nleoJasp":
            for limit in (4096, 400, 40):
                note = encode(unfinished, end, limit=limit, forms=form)
                if note.text:
                    yield unfinished[0], note.text


def runs(unfinished: Sequence[int], end: int) -> list[int]:
    """Alternating lengths, unfinished first."""
    flags = set(unfinished)
    return [len(list(group)) for _, group in groupby(range(unfinished[0], end), flags.__contains__)]


def java(folder: Path, lines: Sequence[str]) -> list[str]:
    """What the library answers."""
    (folder / "pom.xml").write_text(POM)
    (folder / "Vectors.java").write_text(JAVA)
    copy = ["mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib"]
    subprocess.run(copy, cwd=folder, check=True)
    run = ["java", "-cp", "lib/*", "Vectors.java"]
    done = subprocess.run(run, cwd=folder, check=True, input="\n".join(lines), capture_output=True, text=True)
    return done.stdout.splitlines()


def short(text: str) -> str:
    return text if len(text) <= LONGEST else "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def main() -> int:
    known, notes = list(cases()), list(dict.fromkeys(ours()))
    asked = [f"encode {u[0]} {end - 1} {','.join(map(str, u))}" for _, u, end in known]
    asked += [f"decode {base} {text}" for base, text in notes]
    with tempfile.TemporaryDirectory() as folder:
        answers = java(Path(folder), asked)
    encoded = []
    for (name, unfinished, end), answer in zip(known, answers[: len(known)], strict=True):
        *texts, smallest = answer.split(" ")
        encoded.append(
            {
                "name": name,
                "base": unfinished[0],
                "runs": runs(unfinished, end),
                "smallest": smallest,
                "notes": {form_of(each): short(each) for each in texts},
            }
        )
    read: list[tuple[int, str, str]] = []
    for (base, text), answer in zip(notes, answers[len(known) :], strict=True):
        highest, _, rest = answer.partition(" ")
        unfinished = [int(each) for each in rest.split(",") if each]
        end = int(highest) + 1
        if decode(text, base=base, log_end=end).unfinished(base, end) != (unfinished, end):
            raise SystemExit(f"read otherwise by {VERSION}: {base} {text}")
        found = runs(unfinished, end)
        digest = hashlib.sha256(json.dumps(found).encode()).hexdigest()
        read.append((base, text, digest))
    kept = [each for each in read if len(each[1]) <= 60] + read[:: len(read) // 6]
    content = {"version": VERSION, "encoded": encoded, "read": kept}
    (HERE / "parallel_consumer.json").write_text(
        json.dumps(content, indent=None, separators=(",", ":")) + "\n"
    )
    return 0


def form_of(text: str) -> str:
    return chr(base64.b64decode(text)[0])


if __name__ == "__main__":
    sys.exit(main())
