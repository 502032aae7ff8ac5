// Decoding of a grid of class logits and distances into objects.
#pragma once

#include <vector>

namespace edge {

struct GridShape {
    int classes;  // foreground classes; the logits have one more, the background, first
    int rows;
    int columns;
};

// Connected cells of one class; the box is in cells, its right and bottom exclusive.
struct GridObject {
    int class_index;  // 0 is the first foreground class
    double score;
    double log_distance;
    int left;
    int top;
    int right;
    int bottom;
};

// logits [1 + classes, rows, columns] and ln(distance / 1 m) [rows, columns] -> objects, in the row-major order of
// their first cells. Cells take part where the best foreground class' softmax reaches `threshold`; neighbours (8)
// join where they agree on the class and their distances differ by no more than `distance_ratio` (e.g. 1.15).
std::vector<GridObject> decode_grid(const float* logits, const float* log_distance, const GridShape& shape,
                                    double threshold, double distance_ratio);

}  // namespace edge
