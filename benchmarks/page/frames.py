#!/usr/bin/env python3
"""frames.py: how long the page takes to draw an hour of seconds, in headless Chromium.

usage: benchmarks/page/frames.py [--seconds N] [--width PX] [--height PX]

Shows the monitor's page with 3,600 made-up rows and the range "1 h", lets a new second come once a second, and meanwhile pans and
zooms with the keyboard and moves the mouse over a chart. Prints, in ms: the time of a chart's drawing (script), the gaps between
animation frames, the long tasks of the browser's main thread (those of 50 ms and more), and the CPU time of the page's process for a
frame. What else the machine does at the time is in all of them but the last. Standard library only; needs chromium and chromedriver.
"""
import argparse
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/page"))
import browser  # noqa: E402
import host  # noqa: E402

NOW = 1_486_824_000
HOUR = 3600
WATCH = """
window.gaps = [];
window.tasks = [];
let before = performance.now();
const tick = (now) => { gaps.push(now - before); before = now; requestAnimationFrame(tick); };
requestAnimationFrame((now) => { before = now; requestAnimationFrame(tick); });
new PerformanceObserver((list) => { for (const entry of list.getEntries()) tasks.push(entry.duration); }).observe({type: "longtask"});
for (const chart of hongbao.panel.charts) chart.frames.length = 0;
"""
# In the page, so that a key or a move of the mouse costs no round trip: ten of each a second.
DISTURB = """
const box = document.querySelector(".plot-box");
const keys = ["ArrowLeft", "+", "-", "ArrowRight", "End"];
let count = 0;
setInterval(() => {
  box.dispatchEvent(new KeyboardEvent("keydown", {key: keys[count++ % keys.length], bubbles: true}));
  hongbao.panel.point(hongbao.store.last() - (count * 37) % 3000);
}, 100);
"""


def line(name, values):
    if not values:
        return f"{name:<28}{0:>7}"
    ordered = sorted(values)
    at = lambda share: ordered[min(len(ordered) - 1, int(share * len(ordered)))]  # noqa: E731
    return f"{name:<28}{len(ordered):>7}{at(0.5):>9.1f}{at(0.99):>9.1f}{ordered[-1]:>9.1f}"


def cpu_s(page):
    """Of the page's process, all threads."""
    return next(one["value"] for one in page.cdp("Performance.getMetrics", {})["metrics"] if one["name"] == "ProcessTime")


def measure(options, disturb):
    with host.Host("monitor", "an hour") as shown, browser.Browser(options.width, options.height) as page:
        for i in range(HOUR):
            shown.publish(NOW + i, **host.lifelike(i))
        page.open(shown.url)
        page.wait(f"return hongbao.store !== null && hongbao.store.size === {HOUR}", "an hour of rows")
        page.run("document.querySelectorAll('#ranges button')[2].click()")
        page.wait("return hongbao.panel.charts.filter((one) => one.visible).every((one) => !one.dirty)", "the first drawing")
        page.cdp("Performance.enable", {})
        before = cpu_s(page)
        page.run(WATCH + (DISTURB if disturb else ""))
        for i in range(options.seconds):
            time.sleep(1)
            shown.publish(NOW + HOUR + i, **host.lifelike(HOUR + i))
        spent_s = cpu_s(page) - before
        found = page.run("return {draws: hongbao.panel.charts.flatMap((one) => one.frames), gaps, tasks, "
                        "visible: hongbao.panel.charts.filter((one) => one.visible).length}")
        found["cpu_ms"] = spent_s * 1e3 / max(1, len(found["gaps"]))
        found["share"] = spent_s / options.seconds
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="of measuring, for each of the two (default 20)")
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=900)
    options = parser.parse_args()
    if browser.missing():
        print(browser.missing(), file=sys.stderr)
        return 1
    for name, disturb in (("watching", False), ("panning, zooming, pointing", True)):
        found = measure(options, disturb)
        print(f"{name}: {HOUR:,} seconds and a new one each second, {found['visible']} charts in sight, {options.width} x {options.height}")
        print(f"{'':<28}{'number':>7}{'median':>9}{'p99':>9}{'worst':>9}  ms")
        print(line("  drawing one chart", found["draws"]))
        print(line("  between animation frames", found["gaps"]))
        print(line("  long tasks", found["tasks"]))
        print(f"  CPU time for a frame: {found['cpu_ms']:.1f} ms on average, {100 * found['share']:.0f} % of a core", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
