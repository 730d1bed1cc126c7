# Draws the loss curves that summarize_runs wrote.
#
# Usage: gnuplot -c loss_curves.gnuplot loss_curves.txt loss_curves.png
#
# Blocks come in pairs, a run's training loss and its validation loss, each under its title. Of many
# runs only the validation losses are drawn, or nobody could tell them apart.
stats ARG1 using 1:2 nooutput
runs = STATS_blocks / 2
few = runs <= 4
set terminal pngcairo noenhanced size 1200,800 font ',12'
set output ARG2
set title 'Loss of a character-level language model'
set xlabel 'round'
set ylabel few ? 'loss (nats per character)' : 'validation loss (nats per character, logarithmic)'
set grid
if (few) { set key top right font ',10' } else { set key outside right top font ',10'; set logscale y; \
  set yrange [*:5]; set ytics (1.8, 2, 2.2, 2.5, 3, 4, 5) }
plot for [run = 0:(few ? runs - 1 : -1)] ARG1 index 2 * run using 1:2 \
  with lines linecolor run + 1 linewidth 2 dashtype 3 title columnheader(1), \
  for [run = 0:runs - 1] ARG1 index 2 * run + 1 using 1:2 \
  with linespoints linecolor run + 1 dashtype run / 8 + 1 linewidth 2 \
  pointtype 4 + run pointsize 0.8 title columnheader(1)
