#include "edge/grid.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace edge {
namespace {

constexpr int kBackground = -1;

struct Cells {
    GridShape shape;
    std::vector<int> classes;  // kBackground where nothing is, or where it is already part of an object
    std::vector<double> scores;
    const float* log_distance;
};

// Softmax over the classes of one cell; the largest logit is subtracted so that exp cannot overflow.
void classify(const float* logits, std::size_t cell, double threshold, Cells& cells) {
    const auto plane = static_cast<std::size_t>(cells.shape.rows) * static_cast<std::size_t>(cells.shape.columns);
    int best = 1;
    double largest = static_cast<double>(logits[cell]);
    for (int c = 1; c <= cells.shape.classes; ++c) {
        const float logit = logits[static_cast<std::size_t>(c) * plane + cell];
        best = logit > logits[static_cast<std::size_t>(best) * plane + cell] ? c : best;
        largest = std::max(largest, static_cast<double>(logit));
    }
    double sum = 0.0;
    for (int c = 0; c <= cells.shape.classes; ++c) {
        sum += std::exp(static_cast<double>(logits[static_cast<std::size_t>(c) * plane + cell]) - largest);
    }
    const double best_logit = static_cast<double>(logits[static_cast<std::size_t>(best) * plane + cell]);
    cells.scores[cell] = std::exp(best_logit - largest) / sum;
    cells.classes[cell] = cells.scores[cell] >= threshold ? best - 1 : kBackground;
}

void push_neighbours(const Cells& cells, std::size_t cell, int class_index, double tolerance,
                     std::vector<std::size_t>& found) {
    const int columns = cells.shape.columns;
    const int row = static_cast<int>(cell) / columns, column = static_cast<int>(cell) % columns;
    for (int r = std::max(row - 1, 0); r <= std::min(row + 1, cells.shape.rows - 1); ++r) {
        for (int c = std::max(column - 1, 0); c <= std::min(column + 1, columns - 1); ++c) {
            const auto other =
                static_cast<std::size_t>(r) * static_cast<std::size_t>(columns) + static_cast<std::size_t>(c);
            const double apart = std::fabs(static_cast<double>(cells.log_distance[other]) -
                                           static_cast<double>(cells.log_distance[cell]));
            if (cells.classes[other] == class_index && apart <= tolerance) {
                found.push_back(other);
            }
        }
    }
}

// Collects the object that holds `seed` and takes its cells out of the grid.
GridObject grow(Cells& cells, std::size_t seed, double tolerance) {
    const int class_index = cells.classes[seed];
    const int columns = cells.shape.columns;
    GridObject object{class_index, 0.0, 0.0, columns, cells.shape.rows, 0, 0};
    std::vector<std::size_t> open{seed};
    int members = 0;
    while (!open.empty()) {
        const std::size_t cell = open.back();
        open.pop_back();
        if (cells.classes[cell] == kBackground) {
            continue;
        }
        cells.classes[cell] = kBackground;
        const int row = static_cast<int>(cell) / columns, column = static_cast<int>(cell) % columns;
        object.left = std::min(object.left, column);
        object.right = std::max(object.right, column + 1);
        object.top = std::min(object.top, row);
        object.bottom = std::max(object.bottom, row + 1);
        object.score += cells.scores[cell];
        object.log_distance += static_cast<double>(cells.log_distance[cell]);
        ++members;
        push_neighbours(cells, cell, class_index, tolerance, open);
    }
    object.score /= members;
    object.log_distance /= members;
    return object;
}

}  // namespace

std::vector<GridObject> decode_grid(const float* logits, const float* log_distance, const GridShape& shape,
                                    double threshold, double distance_ratio) {
    const auto count = static_cast<std::size_t>(shape.rows) * static_cast<std::size_t>(shape.columns);
    Cells cells{shape, std::vector<int>(count), std::vector<double>(count), log_distance};
    for (std::size_t cell = 0; cell < count; ++cell) {
        classify(logits, cell, threshold, cells);
    }
    std::vector<GridObject> objects;
    for (std::size_t cell = 0; cell < count; ++cell) {
        if (cells.classes[cell] != kBackground) {
            objects.push_back(grow(cells, cell, std::log(distance_ratio)));
        }
    }
    return objects;
}

}  // namespace edge
