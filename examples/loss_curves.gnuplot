# Draws the loss curves that summarize_runs wrote.
#
# Usage: gnuplot -c loss_curves.gnuplot loss_curves.txt loss_curves.png
#
# Blocks come in pairs, a run's training loss and its validation loss, each under its title.
set terminal pngcairo noenhanced size 1200,800 font ',12'
set output ARG2
set title 'Loss of a character-level language model'
set xlabel 'round'
set ylabel 'loss (nats per character)'
set grid
set key top right maxrows 12 font ',9'
stats ARG1 using 1:2 nooutput
plot for [run = 0:STATS_blocks / 2 - 1] ARG1 index 2 * run using 1:2 \
  with lines linecolor run + 1 linewidth 2 dashtype 3 title columnheader(1), \
  for [run = 0:STATS_blocks / 2 - 1] ARG1 index 2 * run + 1 using 1:2 \
  with linespoints linecolor run + 1 linewidth 2 pointtype 7 pointsize 0.7 title columnheader(1)
