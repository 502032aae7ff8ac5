// ROS's message_filters in C++, without a ROS master: commands in by lines of tabs, answers out as lines of JSON.
#include <message_filters/sync_policies/approximate_time.h>
#include <message_filters/synchronizer.h>
#include <ros/common.h>
#include <ros/time.h>

#include <array>
#include <boost/bind/bind.hpp>
#include <boost/make_shared.hpp>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

struct Message {
    ros::Time stamp;
    std::int64_t position;
};

namespace ros {
namespace message_traits {
template <>
struct TimeStamp<Message> {
    static ros::Time value(const Message& message) { return message.stamp; }
};
}  // namespace message_traits
}  // namespace ros

namespace {

using Pointer = boost::shared_ptr<Message const>;
using Policy = message_filters::sync_policies::ApproximateTime<Message, Message, Message>;
using Synchronizer = message_filters::Synchronizer<Policy>;
using Clock = std::chrono::steady_clock;
using OnSet = std::function<void(const Pointer&, const Pointer&, const Pointer&)>;

struct Input {
    std::int64_t stream;
    Pointer message;
};

struct Settings {
    int queue;
    double max_interval_s;
    std::array<double, 3> lower_bounds_s;
};

Pointer make_message(std::int64_t stamp_ns, std::int64_t position) {
    return boost::make_shared<Message>(Message{ros::Time().fromNSec(static_cast<std::uint64_t>(stamp_ns)), position});
}

struct Synchronization {
    Synchronizer sync;
    OnSet on_set;

    Synchronization(const Settings& settings, OnSet callback) : sync(Policy(settings.queue)), on_set(callback) {
        sync.setMaxIntervalDuration(ros::Duration(settings.max_interval_s));
        for (int i = 0; i < 3; ++i) {
            sync.setInterMessageLowerBound(i, ros::Duration(settings.lower_bounds_s[i]));
        }
        using namespace boost::placeholders;
        sync.registerCallback(boost::bind(&Synchronization::call, this, _1, _2, _3));
    }
    void call(const Pointer& a, const Pointer& b, const Pointer& c) { on_set(a, b, c); }
    void add(std::int64_t stream, const Pointer& message) {
        if (stream == 0) {
            sync.add<0>(message);
        } else if (stream == 1) {
            sync.add<1>(message);
        } else {
            sync.add<2>(message);
        }
    }
};

std::vector<Input> inputs;

std::size_t load(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::array<std::int64_t, 3> row;
    inputs.clear();
    while (file.read(reinterpret_cast<char*>(row.data()), sizeof(row))) {
        inputs.push_back({row[0], make_message(row[1], static_cast<std::int64_t>(inputs.size()))});
    }
    return inputs.size();
}

void play(const Settings& settings, int repeat) {
    std::size_t sets = 0;
    double seconds = 0.0;
    for (int i = 0; i < repeat; ++i) {
        Synchronization one(settings, [&](const Pointer&, const Pointer&, const Pointer&) { ++sets; });
        const auto start = Clock::now();
        for (const Input& input : inputs) {
            one.add(input.stream, input.message);
        }
        seconds += std::chrono::duration<double>(Clock::now() - start).count();
    }
    std::cout << "{\"seconds\": " << seconds << ", \"sets\": " << sets << "}" << std::endl;
}

void record(const Settings& settings, const std::string& path) {
    std::vector<std::int64_t> rows;
    std::int64_t now = 0;
    Synchronization one(settings, [&](const Pointer& a, const Pointer& b, const Pointer& c) {
        rows.insert(rows.end(), {now, a->position, b->position, c->position});
    });
    for (const Input& input : inputs) {
        now = input.message->position;
        one.add(input.stream, input.message);
    }
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(rows.data()), static_cast<std::streamsize>(rows.size() * sizeof(rows[0])));
    std::cout << rows.size() / 4 << std::endl;
}

// One producer thread a stream, in real time, while the callback sleeps: microseconds of each add.
void blocked(const Settings& settings, int pause_ms, double seconds, const std::array<double, 3>& rates_hz) {
    Synchronization one(settings, [&](const Pointer&, const Pointer&, const Pointer&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    });
    std::array<std::vector<double>, 3> taken;
    std::vector<std::thread> threads;
    const auto begin = Clock::now() + std::chrono::milliseconds(100);
    for (std::size_t i = 0; i < 3; ++i) {
        threads.emplace_back([&, i] {
            for (int k = 0; k < static_cast<int>(seconds * rates_hz[i]); ++k) {
                const std::chrono::duration<double> due(k / rates_hz[i]);
                std::this_thread::sleep_until(begin + std::chrono::duration_cast<Clock::duration>(due));
                const Pointer message = make_message(100000000000 + static_cast<std::int64_t>(1e9 * due.count()), k);
                const auto start = Clock::now();
                one.add(static_cast<std::int64_t>(i), message);
                taken[i].push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    std::cout << "[";
    for (std::size_t i = 0; i < 3; ++i) {
        std::cout << (i ? ", [" : "[");
        for (std::size_t k = 0; k < taken[i].size(); ++k) {
            std::cout << (k ? ", " : "") << taken[i][k];
        }
        std::cout << "]";
    }
    std::cout << "]" << std::endl;
}

Settings read_settings(std::istream& fields) {
    Settings settings{};
    double interval_ns = 0.0;
    fields >> settings.queue >> interval_ns;
    settings.max_interval_s = interval_ns / 1e9;
    for (double& bound : settings.lower_bounds_s) {
        fields >> bound;
        bound /= 1e9;
    }
    return settings;
}

void answer(const std::string& line) {
    std::istringstream fields(line);
    std::string command, path;
    int number = 0;
    std::getline(fields, command, '\t');
    if (command == "load") {
        std::getline(fields, path);
        std::cout << load(path) << std::endl;
    } else if (command == "versions") {
        std::cout << "{\"message_filters (C++), roscpp\": \"" << ROS_VERSION_MAJOR << "." << ROS_VERSION_MINOR << "."
                  << ROS_VERSION_PATCH << "\"}" << std::endl;
    } else if (command == "play") {
        const Settings settings = read_settings(fields);
        fields >> number;
        play(settings, number);
    } else if (command == "record") {
        const Settings settings = read_settings(fields);
        std::getline(fields >> std::ws, path);
        record(settings, path);
    } else if (command == "blocked") {
        const Settings settings = read_settings(fields);
        double seconds = 0.0;
        std::array<double, 3> rates_hz{};
        fields >> number >> seconds >> rates_hz[0] >> rates_hz[1] >> rates_hz[2];
        blocked(settings, number, seconds, rates_hz);
    }
}

}  // namespace

int main() {
    ros::Time::init();
    for (std::string line; std::getline(std::cin, line);) {
        answer(line);
    }
}
